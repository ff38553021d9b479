#pragma once
// Encoder: one encode() call: text in, ids out, with the buffers that its pieces share.
//
// One per call; not thread-safe. The state outlives it.
// Cost: as Tokenizer::encode.

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

 private:
  void encode_plain(std::string_view text, bool at_start);
  void encode_normalized(std::string_view text, bool at_start);

  const Tokenizer::State& state_;
  bool parse_special_;
  std::vector<TokenId>& out_;
  BpeModel::Scratch scratch_;
  std::string normalized_;
  PreTokenizer::Sink sink_;
};

}  // namespace quire::engine
