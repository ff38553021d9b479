#include "engine/tokenizer/detokenizer.h"

#include "engine/tokenizer/tokenizer_state.h"

namespace quire::engine {

Detokenizer::Detokenizer(const Tokenizer& tokenizer, bool skip_special, bool continues)
    : tokenizer_(&tokenizer),
      skip_special_(skip_special),
      at_start_(!continues),
      strip_left_(continues ? std::uint8_t{0} : tokenizer.state_->decoder.strip_start()) {}

void Detokenizer::push(TokenId id, std::string& out) {
  const Tokenizer::State& state = *tokenizer_->state_;
  if (id < 0 || id >= tokenizer_->vocab_size() || !state.exists[static_cast<std::size_t>(id)])
    return;
  if (skip_special_ && state.special[static_cast<std::size_t>(id)]) return;
  std::string_view bytes = at_start_ ? state.decoder.first_bytes(id) : state.decoder.bytes(id);
  at_start_ = false;
  while (strip_left_ > 0 && !bytes.empty()) {
    const bool strips = bytes.front() == state.decoder.strip_char();
    strip_left_ = strips ? static_cast<std::uint8_t>(strip_left_ - 1) : std::uint8_t{0};
    if (strips) bytes.remove_prefix(1);
  }
  stream_.push(bytes, out);
}

void Detokenizer::finish(std::string& out) { stream_.finish(out); }

}  // namespace quire::engine
