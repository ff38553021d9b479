#pragma once
// HttpUrl: the address of a server as --url gives it: http://host[:port][/prefix].
//
// Pure; any thread.

#include <string>
#include <string_view>

namespace quire::server {

// An IPv6 host stands in brackets in the URL.
struct HttpUrl {
  std::string host;       // without brackets
  std::string port;       // decimal
  std::string prefix;     // empty or "/..." without a slash at the end
  std::string authority;  // as the Host field has it
};

// Throws UsageError.
[[nodiscard]] HttpUrl parse_http_url(std::string_view text);

// True for ASCII without spaces and control characters, which would break the request line that is
// made of it.
[[nodiscard]] bool is_printable(std::string_view text);

}  // namespace quire::server
