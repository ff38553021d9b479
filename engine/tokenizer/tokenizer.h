#pragma once
// Tokenizer: text to token ids and back, from a Hugging Face tokenizer.json.
//
// Immutable after load(); every const method may be called from any thread at once.
// 1. encode() gives the ids that the `tokenizers` package gives for the same file and flags.
// 2. encode() is near-linear in the text whatever the text is, uses bounded stack, and never fails:
//    bytes that are no valid UTF-8 are encoded as U+FFFD.
// 3. Special tokens are made from text only where EncodeOptions::parse_special says so, or out of
// the
//    template's own words in a chat prompt.
// Cost: 5 to 18 MB/s per thread as measured (byte-fallback files least); no shared mutable state,
// no cache that grows.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/text_origin.h"
#include "proto/error.h"
#include "proto/types.h"

namespace quire::engine {

struct EncodeOptions {
  bool add_special_tokens = true;  // what the post-processor adds (bos, eos)
  bool parse_special = true;       // the text of a special token becomes that token
};

class Tokenizer final {
 public:
  struct State;  // the room's own business

  // Errors name the file and the field. Unknown component types are refused, never ignored.
  static Result<std::unique_ptr<Tokenizer>> load(const std::filesystem::path& tokenizer_json);
  // The same from bytes already in memory (tests, fuzzers); `name` stands in error messages.
  static Result<std::unique_ptr<Tokenizer>> parse(std::string_view json, std::string_view name);

  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  [[nodiscard]] std::vector<TokenId> encode(std::string_view text,
                                            EncodeOptions options = {}) const;

  // The text of a chat prompt: special tokens come only out of what the template wrote; all else is
  // cut, normalized and merged as one text. No special tokens are added.
  [[nodiscard]] std::vector<TokenId> encode_prompt(std::string_view text,
                                                   std::span<const TextRun> runs) const;

  // Whole text at once; always valid UTF-8. Ids out of range decode to nothing.
  [[nodiscard]] std::string decode(std::span<const TokenId> ids, bool skip_special) const;

  // The bytes that one token contributes in the middle of a text (may be part of a character).
  // Valid as long as the tokenizer; empty for ids out of range.
  [[nodiscard]] std::string_view token_bytes(TokenId id) const;

  [[nodiscard]] std::optional<TokenId> token_to_id(std::string_view token) const;
  [[nodiscard]] bool is_special(TokenId id) const;
  // One more than the largest id.
  [[nodiscard]] std::int32_t vocab_size() const;
  // The longest token_bytes() of all tokens: sizes the stream buffers.
  [[nodiscard]] std::size_t max_token_bytes() const;

 private:
  friend class Detokenizer;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace quire::engine
