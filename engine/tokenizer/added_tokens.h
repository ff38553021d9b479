#pragma once
// AddedTokens: tokens that are cut out of the text before any merging, special ones (<|endoftext|>)
// and ordinary ones. TokenTrie finds them; TokenSplitter walks a text and gives the plain stretches
// and the tokens in order.
//
// Immutable after construction; any thread.
// 1. Leftmost match first, the longest of those that begin there; matches do not overlap.
// 2. Cost: O(bytes * longest token) at worst, and kMaxAddedTokenBytes bounds the factor; on text
//    without the tokens' first bytes a table look-up per byte.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/text_origin.h"
#include "proto/types.h"

namespace quire::engine {

inline constexpr std::size_t kMaxAddedTokenBytes = 1024;

struct AddedToken {
  TokenId id = kNoToken;
  std::string content;
  std::string pattern;  // what is looked for, and what it decodes to: content, or its normal form
  bool special = false;
  bool normalized = false;   // looked for in the normalized text, in its normalized form
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // and after it
};

// Finds strings by their first bytes; values are indices given by the caller.
class TokenTrie final {
 public:
  struct Match {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::uint32_t value = 0;
  };

  TokenTrie();

  // The first value counts where a string comes twice. Strings are not empty.
  void add(std::string_view text, std::uint32_t value);
  // The first match that begins at `from` or later; false if there is none.
  bool find(std::string_view text, std::size_t from, Match& match) const;

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Node {
    std::uint32_t value = kNone;
    std::uint32_t first_child = kNone;
    std::uint32_t sibling = kNone;
    char byte = 0;
  };

  [[nodiscard]] std::uint32_t child(std::uint32_t node, char byte) const;

  std::vector<Node> nodes_;
  std::array<std::uint32_t, 256> roots_;  // children of the root, by byte
};

// One stretch of a text: an added token, or plain text with id kNoToken.
struct TextSegment {
  std::size_t begin = 0;
  std::size_t end = 0;
  TokenId id = kNoToken;
};

// The tokens of one trie (normalized or not) and their flags.
class AddedTokens final {
 public:
  void add(AddedToken token);

  [[nodiscard]] bool empty() const { return tokens_.empty(); }
  [[nodiscard]] const TokenTrie& trie() const { return trie_; }
  [[nodiscard]] const AddedToken& token(std::uint32_t value) const { return tokens_[value]; }

 private:
  TokenTrie trie_;
  std::vector<AddedToken> tokens_;
};

class TokenSplitter final {
 public:
  // Without parse_special the text of a special token is plain text.
  TokenSplitter(const AddedTokens& tokens, std::string_view text, bool parse_special)
      : tokens_(tokens), text_(text), parse_special_(parse_special) {}
  // Special tokens only where the template wrote all of their text. `text` begins at `offset` of
  // what the runs describe.
  TokenSplitter(const AddedTokens& tokens, std::string_view text, std::span<const TextRun> runs,
                std::size_t offset)
      : tokens_(tokens), text_(text), parse_special_(false), runs_(runs), offset_(offset) {}

  // The next stretch; false at the end. Stretches are not empty.
  bool next(TextSegment& segment);

 private:
  bool find_token();
  bool find_match(TokenTrie::Match& match);
  [[nodiscard]] std::size_t template_end(std::size_t position) const;
  [[nodiscard]] bool is_wanted(const AddedToken& token, const TokenTrie::Match& match) const;

  const AddedTokens& tokens_;
  std::string_view text_;
  bool parse_special_;
  std::span<const TextRun> runs_;
  std::size_t offset_ = 0;
  std::size_t position_ = 0;  // where the next stretch begins
  std::size_t searched_ = 0;  // where the next match may begin
  TextSegment token_;         // found, but the plain text before it comes first
  bool has_token_ = false;
};

}  // namespace quire::engine
