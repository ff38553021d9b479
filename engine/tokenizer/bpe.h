#pragma once
// BpeModel: one piece of text to token ids by byte-pair merges, as the `tokenizers` package does
// it.
//
// A piece begins as one symbol per character (in byte-level tokenizers: per byte); then, as long as
// two neighbours have a merge, the pair of lowest rank, leftmost first, becomes one symbol.
//
// Immutable after construction; any thread, each with its own Scratch.
// 1. Never fails; any length; bounded stack. O(n log n) at worst, near O(n) on real text.
// 2. Without allow_special no special token comes out of a piece, whatever its text (the unknown
//    token excepted, which stands for what has no token).

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/merge_queue.h"
#include "engine/tokenizer/merge_table.h"
#include "engine/tokenizer/string_index.h"

namespace quire::engine {

struct BpeOptions {
  TokenId unk = kNoToken;      // kNoToken: what has no token is dropped
  bool fuse_unk = false;       // a run of unknown characters gives one unk
  bool byte_fallback = false;  // before unk: the bytes as <0x00> to <0xFF>
  bool ignore_merges = false;  // a piece that is a token is that token, whatever the merges say
};

class BpeModel final {
 public:
  // What the caller keeps from piece to piece of one text.
  struct Scratch {
    struct Symbol {
      TokenId id;
      std::uint32_t previous;
      std::uint32_t next;
      MergeRank rank;  // of the merge with `next`
    };
    std::vector<TokenId> ids;
    std::vector<Symbol> symbols;
    std::optional<MergeQueue> queue;
    std::string text;
  };

  enum class Alphabet : std::uint8_t {
    kCharacters,  // the piece is looked up as it is
    kBytes,       // each byte stands for one character of the byte-level alphabet
  };

  // is_special: by id; may be shorter than the vocabulary.
  BpeModel(StringIndex vocab, MergeTable merges, BpeOptions options,
           const std::vector<bool>& is_special);

  // Appends the ids of `piece` (valid UTF-8 if kCharacters, at most 2^31 bytes).
  void encode(std::string_view piece, Alphabet alphabet, bool allow_special, Scratch& scratch,
              std::vector<TokenId>& out) const;

  [[nodiscard]] const StringIndex& vocab() const { return vocab_; }

 private:
  class UnknownRun;

  void start_bytes(std::string_view piece, bool allow_special, std::vector<TokenId>& ids) const;
  void start_characters(std::string_view piece, bool allow_special,
                        std::vector<TokenId>& ids) const;
  [[nodiscard]] TokenId whole_piece(std::string_view piece, Alphabet alphabet, bool allow_special,
                                    std::string& scratch) const;
  [[nodiscard]] TokenId find_character(std::string_view character) const;
  [[nodiscard]] bool is_special(TokenId id) const;
  [[nodiscard]] MergeRank rank_of(TokenId left, TokenId right, bool allow_special) const;
  void merge_short(bool allow_special, std::vector<TokenId>& ids) const;
  void merge_long(bool allow_special, Scratch& scratch) const;
  void link_symbols(bool allow_special, Scratch& scratch) const;

  StringIndex vocab_;
  MergeTable merges_;
  BpeOptions options_;
  std::vector<bool> is_special_;
  bool merges_make_specials_ = false;
  bool has_all_bytes_ = false;               // byte fallback never needs unk
  std::array<TokenId, 256> byte_level_ids_;  // of the byte-level alphabet
  std::array<TokenId, 256> fallback_ids_;    // of <0x00> to <0xFF>
  std::array<TokenId, 128> ascii_ids_;       // of single characters
};

// The character that stands for a byte in byte-level tokenizers: itself where it is printable
// Latin-1, else one from U+0100 on.
[[nodiscard]] char32_t byte_level_character(std::uint8_t byte);
// Its inverse; -1 for a character outside the alphabet.
[[nodiscard]] int byte_level_byte(char32_t character);

}  // namespace quire::engine
