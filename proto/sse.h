#pragma once
// Server-sent events framing (WHATWG HTML, section 9.2): `data: <one line>\n\n`.
// Pure functions; the payload holds no newline (checked).

#include <string>
#include <string_view>

namespace quire::proto {

inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";
inline constexpr std::string_view kSsePing = ": ping\n\n";

// Appends one event to `out`.
void append_sse(std::string& out, std::string_view json_line);

}  // namespace quire::proto
