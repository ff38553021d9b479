#include "engine/tokenizer/encoder.h"

#include <algorithm>

namespace quire::engine {
namespace {

// A longer piece is cut, so that positions fit 32 bits.
constexpr std::size_t kMaxPieceBytes = std::size_t{1} << 30;

std::size_t cut_point(std::string_view text) {
  std::size_t end = std::min(text.size(), kMaxPieceBytes);
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return end;
}

}  // namespace

Encoder::Encoder(const Tokenizer::State& state, bool parse_special, std::vector<TokenId>& out)
    : state_(state), parse_special_(parse_special), out_(out) {
  sink_ = [this](std::string_view piece) {
    while (!piece.empty()) {
      const std::size_t length = cut_point(piece);
      state_.model.encode(piece.substr(0, length), state_.pre_tokenizer.alphabet, parse_special_,
                          scratch_, out_);
      piece.remove_prefix(length);
    }
  };
}

void Encoder::encode(std::string_view text) {
  TokenSplitter splitter(state_.raw_tokens, text, parse_special_);
  TextSegment segment;
  while (splitter.next(segment)) {
    if (segment.id != kNoToken)
      out_.push_back(segment.id);
    else
      encode_plain(text.substr(segment.begin, segment.end - segment.begin), segment.begin == 0);
  }
}

void Encoder::encode_plain(std::string_view text, bool at_start) {
  bool removed_start = false;
  const std::string_view normalized = state_.normalizer.apply(text, normalized_, removed_start);
  encode_normalized(normalized, at_start && !removed_start);
}

void Encoder::encode_normalized(std::string_view text, bool at_start) {
  TokenSplitter splitter(state_.normalized_tokens, text, parse_special_);
  TextSegment segment;
  while (splitter.next(segment)) {
    if (segment.id != kNoToken) {
      out_.push_back(segment.id);
      continue;
    }
    state_.pre_tokenizer.pre_tokenizer.split(
        text.substr(segment.begin, segment.end - segment.begin), at_start && segment.begin == 0,
        sink_);
  }
}

}  // namespace quire::engine
