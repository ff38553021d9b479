#include "engine/tokenizer/token_decoder.h"

#include <algorithm>

#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/normalizer.h"
#include "engine/tokenizer/utf8.h"

namespace quire::engine {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// The byte that <0x..> names, or -1.
int fallback_byte(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  const int high = hex_digit(text[3]);
  const int low = hex_digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// The bytes that the characters of a byte-level token stand for; its own bytes if one of them is
// outside the alphabet (added tokens are written as they are).
std::string from_byte_level(std::string_view text) {
  std::string bytes;
  for (std::string_view rest = text; !rest.empty();) {
    const CodePoint c = first_code_point(rest);
    const int byte = byte_level_byte(c.value);
    if (byte < 0) return std::string(text);
    bytes.push_back(static_cast<char>(byte));
    rest.remove_prefix(c.length);
  }
  return bytes;
}

std::string strip(std::string_view text, const DecoderSpec::Rewrite& rewrite) {
  for (std::size_t i = 0; i < rewrite.start && text.starts_with(rewrite.from); ++i)
    text.remove_prefix(rewrite.from.size());
  for (std::size_t i = 0; i < rewrite.stop && text.ends_with(rewrite.from); ++i)
    text.remove_suffix(rewrite.from.size());
  return std::string(text);
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  append_replaced(text, from, to, out);
  return out;
}

// At most: the bytes of what replaced() makes.
std::size_t replaced_size(std::string_view text, const DecoderSpec::Rewrite& rewrite) {
  return text.size() * replace_growth(rewrite.from, rewrite.to);
}

}  // namespace

void TokenDecoder::Table::add(std::string_view text) {
  arena_.append(text);
  ends_.push_back(static_cast<std::uint32_t>(arena_.size()));
}

bool TokenDecoder::add(std::string_view content) {
  std::string text(content);
  for (const DecoderSpec::Rewrite& rewrite : spec_.rewrites) {
    if (rewrite.kind == DecoderSpec::Rewrite::Kind::kStrip) {
      text = strip(text, rewrite);
      continue;
    }
    // Before it is made.
    if (replaced_size(text, rewrite) > kMaxTotalBytes) return false;
    text = replaced(text, rewrite.from, rewrite.to);
  }
  if (spec_.bytes == DecoderSpec::Bytes::kByteLevel) text = from_byte_level(text);
  if (spec_.bytes == DecoderSpec::Bytes::kByteFallback) {
    if (const int byte = fallback_byte(text); byte >= 0) text.assign(1, static_cast<char>(byte));
  }
  std::string first = text;
  if (!spec_.metaspace.empty()) {
    if (spec_.metaspace_drops_first) first = replaced(text, spec_.metaspace, "");
    text = replaced(text, spec_.metaspace, " ");
  }
  if (spec_.join_with_spaces) text = std::string(" ").append(text);
  if (middle_.num_bytes() + text.size() > kMaxTotalBytes) return false;
  middle_.add(text);
  if (first_differs()) first_.add(first);
  max_bytes_ = std::max(max_bytes_, text.size());
  return true;
}

}  // namespace quire::engine
