#include "engine/tokenizer/utf8.h"

#include <cstring>

namespace quire::engine {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Bytes that follow this lead byte in a well-formed character; -1: not a lead byte.
int num_continuations(unsigned char lead) {
  if (lead < 0x80) return 0;
  if (lead >= 0xC2 && lead <= 0xDF) return 1;
  if (lead >= 0xE0 && lead <= 0xEF) return 2;
  if (lead >= 0xF0 && lead <= 0xF4) return 3;
  return -1;
}

// Whether `byte` may stand second after `lead`: no overlong forms, no surrogates, no value above
// U+10FFFF (Unicode, table 3-7).
bool may_follow_lead(unsigned char lead, unsigned char byte) {
  switch (lead) {
    case 0xE0:
      return byte >= 0xA0 && byte <= 0xBF;
    case 0xED:
      return byte >= 0x80 && byte <= 0x9F;
    case 0xF0:
      return byte >= 0x90 && byte <= 0xBF;
    case 0xF4:
      return byte >= 0x80 && byte <= 0x8F;
    default:
      return byte >= 0x80 && byte <= 0xBF;
  }
}

bool is_ascii_word(const char* bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof(word));
  return (word & 0x8080808080808080u) == 0;
}

// The length of the longest valid prefix of `text` that ends between two characters.
std::size_t valid_prefix(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    if (i + 8 <= text.size() && is_ascii_word(text.data() + i)) {
      i += 8;
      continue;
    }
    const auto lead = static_cast<unsigned char>(text[i]);
    const int more = num_continuations(lead);
    if (more < 0 || text.size() - i <= static_cast<std::size_t>(more)) return i;
    for (int k = 1; k <= more; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + static_cast<std::size_t>(k)]);
      if (k == 1 ? !may_follow_lead(lead, byte) : (byte & 0xC0) != 0x80) return i;
    }
    i += static_cast<std::size_t>(more) + 1;
  }
  return i;
}

}  // namespace

CodePoint last_code_point(std::string_view text) {
  std::size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  return first_code_point(text.substr(begin));
}

void append_utf8(char32_t code_point, std::string& out) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  const auto put_tail = [&](int shift) { put(0x80 | ((code_point >> shift) & 0x3F)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | (code_point >> 6));
    put_tail(0);
  } else if (code_point < 0x10000) {
    put(0xE0 | (code_point >> 12));
    put_tail(6);
    put_tail(0);
  } else {
    put(0xF0 | (code_point >> 18));
    put_tail(12);
    put_tail(6);
    put_tail(0);
  }
}

bool is_valid_utf8(std::string_view text) { return valid_prefix(text) == text.size(); }

std::string repair_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  Utf8Stream stream;
  stream.push(text, out);
  stream.finish(out);
  return out;
}

void Utf8Stream::push(std::string_view bytes, std::string& out) {
  std::size_t i = 0;
  while (i < bytes.size()) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (num_missing_ == 0) {
      const std::size_t valid = valid_prefix(bytes.substr(i));
      out.append(bytes.substr(i, valid));
      i += valid;
      if (i == bytes.size()) return;
      const int more = num_continuations(static_cast<unsigned char>(bytes[i]));
      if (more <= 0) {
        out.append(kReplacement);
      } else {
        num_missing_ = static_cast<std::uint8_t>(more);
        num_pending_ = 1;
        pending_[0] = bytes[i];
      }
      ++i;
      continue;
    }
    const auto lead = static_cast<unsigned char>(pending_[0]);
    const bool fits = num_pending_ == 1 ? may_follow_lead(lead, byte) : (byte & 0xC0) == 0x80;
    if (!fits) {
      // What is pending is a maximal subpart; this byte begins anew.
      finish(out);
      continue;
    }
    pending_[num_pending_++] = bytes[i++];
    if (--num_missing_ == 0) {
      out.append(pending_.data(), num_pending_);
      num_pending_ = 0;
    }
  }
}

void Utf8Stream::finish(std::string& out) {
  if (num_missing_ != 0) out.append(kReplacement);
  num_missing_ = 0;
  num_pending_ = 0;
}

}  // namespace quire::engine
