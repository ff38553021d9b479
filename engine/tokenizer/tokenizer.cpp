#include "engine/tokenizer/tokenizer.h"

#include "engine/tokenizer/detokenizer.h"
#include "engine/tokenizer/encoder.h"
#include "engine/tokenizer/tokenizer_state.h"
#include "engine/tokenizer/utf8.h"

namespace quire::engine {

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<TokenId> ids;
  const Surround& surround = state_->surround;
  if (options.add_special_tokens) ids = surround.before;
  Encoder encoder(*state_, options.parse_special, ids);
  if (is_valid_utf8(text))
    encoder.encode(text);
  else
    encoder.encode(repair_utf8(text));
  if (options.add_special_tokens)
    ids.insert(ids.end(), surround.after.begin(), surround.after.end());
  return ids;
}

std::vector<TokenId> Tokenizer::encode_prompt(std::string_view text,
                                              std::span<const TextRun> runs) const {
  std::vector<TokenId> ids;
  Encoder encoder(*state_, false, ids);
  if (is_valid_utf8(text))
    encoder.encode(text, runs);
  else
    encoder.encode(repair_utf8(text));  // the runs do not describe it any more
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::string text;
  Detokenizer detokenizer(*this, skip_special, false);
  for (const TokenId id : ids) detokenizer.push(id, text);
  detokenizer.finish(text);
  return text;
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  if (id < 0 || id >= vocab_size()) return {};
  return state_->decoder.bytes(id);
}

std::optional<TokenId> Tokenizer::token_to_id(std::string_view token) const {
  TokenId id = state_->added_index.find(token);
  if (id == kNoToken) id = state_->model.vocab().find(token);
  if (id == kNoToken) return std::nullopt;
  return id;
}

bool Tokenizer::is_special(TokenId id) const {
  return id >= 0 && id < vocab_size() && state_->special[static_cast<std::size_t>(id)];
}

std::int32_t Tokenizer::vocab_size() const {
  return static_cast<std::int32_t>(state_->exists.size());
}

std::size_t Tokenizer::max_token_bytes() const { return state_->decoder.max_bytes(); }

}  // namespace quire::engine
