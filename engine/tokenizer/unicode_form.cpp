#include "engine/tokenizer/unicode_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "engine/tokenizer/utf8.h"
#include "proto/check.h"

namespace quire::engine {
namespace {

using Buffer = std::vector<utf8proc_int32_t>;

// No character below U+0300 joins with the one before it, and none below U+00A0 changes under any
// form: texts may be cut before the former and the latter may be skipped.
constexpr char32_t kFirstCombining = 0x300;
constexpr char32_t kFirstChanging = 0xA0;

bool is_compatibility(UnicodeForm form) {
  return form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd;
}

bool composes(UnicodeForm form) { return form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc; }

// Characters that got their decomposition in Unicode 10 to 15.
bool is_recent(char32_t c) {
  return c == 0x32FF || (c >= 0xA7F2 && c <= 0xA7F4) || c == 0xAB69 ||
         (c >= 0x10781 && c <= 0x107BA) || c == 0x11938 || (c >= 0x1E030 && c <= 0x1E06D) ||
         c == 0x1F16C || (c >= 0x1FBF0 && c <= 0x1FBF9);
}

void append_decomposed(char32_t c, UnicodeForm form, Buffer& buffer) {
  const auto code_point = static_cast<utf8proc_int32_t>(c);
  if (c < kFirstChanging || is_recent(c)) {
    buffer.push_back(code_point);
    return;
  }
  constexpr utf8proc_ssize_t kLongest = 18;  // U+FDFA under NFKD
  utf8proc_int32_t parts[kLongest];
  int boundary = 0;
  const int options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                      (is_compatibility(form) ? static_cast<int>(UTF8PROC_COMPAT) : 0);
  const utf8proc_ssize_t count = utf8proc_decompose_char(
      code_point, parts, kLongest, static_cast<utf8proc_option_t>(options), &boundary);
  CHECK(count > 0 && count <= kLongest);
  buffer.insert(buffer.end(), parts, parts + count);
}

int combining_class(utf8proc_int32_t c) {
  return c < static_cast<utf8proc_int32_t>(kFirstCombining)
             ? 0
             : utf8proc_get_property(c)->combining_class;
}

// Canonical ordering: within each run of combining marks, stably by their class.
void order_marks(Buffer& buffer) {
  for (auto it = buffer.begin(); it != buffer.end();) {
    if (combining_class(*it) == 0) {
      ++it;
      continue;
    }
    const auto end =
        std::find_if(it, buffer.end(), [](utf8proc_int32_t c) { return combining_class(c) == 0; });
    const auto before = [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return combining_class(a) < combining_class(b);
    };
    if (!std::is_sorted(it, end, before)) std::stable_sort(it, end, before);
    it = end;
  }
}

std::size_t ascii_prefix(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size() && static_cast<unsigned char>(text[i]) < 0x80) ++i;
  return i;
}

void flush(UnicodeForm form, Buffer& buffer, std::string& out) {
  if (buffer.empty()) return;
  order_marks(buffer);
  auto count = static_cast<utf8proc_ssize_t>(buffer.size());
  if (composes(form)) {
    count = utf8proc_normalize_utf32(
        buffer.data(), count, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    CHECK(count > 0);
  }
  for (utf8proc_ssize_t i = 0; i < count; ++i)
    append_utf8(static_cast<char32_t>(buffer[static_cast<std::size_t>(i)]), out);
  buffer.clear();
}

}  // namespace

void append_normalized(std::string_view text, UnicodeForm form, std::string& out) {
  Buffer buffer;  // a base character below U+0300 and all that may join it
  while (!text.empty()) {
    // All but the last of a run of ASCII stay as they are.
    const std::size_t ascii = ascii_prefix(text);
    if (ascii > 1) {
      flush(form, buffer, out);
      out.append(text.substr(0, ascii - 1));
      text.remove_prefix(ascii - 1);
    }
    const CodePoint c = first_code_point(text);
    text.remove_prefix(c.length);
    if (c.value < kFirstCombining) flush(form, buffer, out);
    append_decomposed(c.value, form, buffer);
  }
  flush(form, buffer, out);
}

}  // namespace quire::engine
