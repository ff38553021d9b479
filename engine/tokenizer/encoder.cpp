#include "engine/tokenizer/encoder.h"

#include <algorithm>

#include "proto/check.h"

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

TokenSplitter Encoder::splitter(const AddedTokens& tokens, std::string_view text,
                                std::size_t offset) const {
  if (has_runs_) return {tokens, text, runs_, offset};
  return {tokens, text, parse_special_};
}

void Encoder::encode(std::string_view text, std::span<const TextRun> runs) {
  CHECK(!parse_special_);
  runs_ = runs;
  has_runs_ = true;
  encode(text);
}

void Encoder::encode(std::string_view text) {
  TokenSplitter pieces = splitter(state_.raw_tokens, text, 0);
  TextSegment segment;
  while (pieces.next(segment)) {
    if (segment.id != kNoToken)
      out_.push_back(segment.id);
    else
      encode_plain(text.substr(segment.begin, segment.end - segment.begin), segment.begin);
  }
}

// `offset`: where the text begins in the whole. Normal forms have no origin: where normalizing
// changes a text that has runs, no special token is looked for in it.
void Encoder::encode_plain(std::string_view text, std::size_t offset) {
  bool removed_start = false;
  const std::string_view normalized = state_.normalizer.apply(text, normalized_, removed_start);
  const bool unchanged = normalized.data() == text.data() && normalized.size() == text.size();
  const bool at_start = offset == 0 && !removed_start;
  if (has_runs_ && !unchanged) {
    encode_normalized({state_.normalized_tokens, normalized, false}, normalized, at_start);
  } else {
    encode_normalized(splitter(state_.normalized_tokens, normalized, offset), normalized, at_start);
  }
}

void Encoder::encode_normalized(TokenSplitter pieces, std::string_view text, bool at_start) {
  TextSegment segment;
  while (pieces.next(segment)) {
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
