#pragma once
// Encoder: one encode() call: text in, ids out, with the buffers that its pieces share.
//
// One per call; not thread-safe. The state outlives it.
// Cost: as Tokenizer::encode.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/tokenizer_state.h"

namespace quire::engine {

class Encoder final {
 public:
  Encoder(const Tokenizer::State& state, bool parse_special, std::vector<TokenId>& out);

  // text: valid UTF-8.
  void encode(std::string_view text);
  // The same, with special tokens only out of the template's words.
  void encode(std::string_view text, std::span<const TextRun> runs);

 private:
  void encode_plain(std::string_view text, std::size_t offset);
  void encode_normalized(TokenSplitter splitter, std::string_view text, bool at_start);
  [[nodiscard]] TokenSplitter splitter(const AddedTokens& tokens, std::string_view text,
                                       std::size_t offset) const;

  const Tokenizer::State& state_;
  bool parse_special_;
  std::span<const TextRun> runs_;
  bool has_runs_ = false;
  std::vector<TokenId>& out_;
  BpeModel::Scratch scratch_;
  std::string normalized_;
  PreTokenizer::Sink sink_;
};

}  // namespace quire::engine
