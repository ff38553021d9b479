#include "server/commands/http_url.h"

#include <algorithm>
#include <charconv>

#include "server/config.h"

namespace quire::server {
namespace {

bool is_port(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && value > 0 && value < 65536;
}

}  // namespace

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

HttpUrl parse_http_url(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  if (text.starts_with("https://")) {
    throw UsageError("--url: this speaks no TLS; a server with TLS answers at its --metrics-port");
  }
  if (!text.starts_with(kScheme)) throw UsageError("--url: must begin with http://");
  if (!is_printable(text)) throw UsageError("--url: holds a space or a control character");
  text.remove_prefix(kScheme.size());
  HttpUrl url;
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos) url.prefix = text.substr(slash);
  while (url.prefix.ends_with('/')) url.prefix.pop_back();
  url.authority = text.substr(0, slash);
  url.host = url.authority;
  url.port = "80";
  const std::size_t colon = url.authority.rfind(':');
  const std::size_t bracket = url.authority.rfind(']');
  if (colon != std::string::npos && (bracket == std::string::npos || colon > bracket)) {
    url.host = url.authority.substr(0, colon);
    url.port = url.authority.substr(colon + 1);
  }
  if (url.host.starts_with('[') && url.host.ends_with(']')) {
    url.host = url.host.substr(1, url.host.size() - 2);
  }
  if (url.host.empty() || !is_port(url.port)) throw UsageError("--url: needs host and port");
  return url;
}

}  // namespace quire::server
