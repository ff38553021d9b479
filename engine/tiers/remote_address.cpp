#include "engine/tiers/remote_address.h"

#include <charconv>
#include <optional>

namespace quire::engine {
namespace {

Error bad(const char* what) { return {ErrorCode::kInvalidRequest, what, "--kv-remote-url"}; }

template <typename T>
std::optional<T> number(std::string_view text, T most) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0 || value > most) {
    return std::nullopt;
  }
  return value;
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size() || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0) return std::nullopt;
    out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
    i += 2;
  }
  return out;
}

bool parse_user(std::string_view text, RemoteAddress& address) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return false;
  const auto user = decoded(text.substr(0, colon)), password = decoded(text.substr(colon + 1));
  if (!user || !password || password->empty()) return false;
  address.user = *user;
  address.password = *password;
  return true;
}

bool parse_host(std::string_view text, RemoteAddress& address) {
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    address.host = text.substr(1, end - 1);
    port = text.substr(end + 1);
  } else {
    const std::size_t colon = text.find(':');
    address.host = text.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
  }
  if (address.host.empty()) return false;
  if (port.empty()) return true;
  const auto value = number<std::int32_t>(port.substr(1), 65535);
  if (port.front() != ':' || !value || *value == 0) return false;
  address.port = static_cast<std::uint16_t>(*value);
  return true;
}

}  // namespace

Result<RemoteAddress> parse_remote_url(std::string_view url) {
  constexpr std::string_view kScheme = "redis://";
  if (!url.starts_with(kScheme)) return bad("must begin with redis://");
  url.remove_prefix(kScheme.size());
  RemoteAddress address;
  const std::size_t at = url.rfind('@');
  if (at != std::string_view::npos) {
    if (!parse_user(url.substr(0, at), address)) return bad("must have :password before the @");
    url.remove_prefix(at + 1);
  }
  const std::size_t slash = url.find('/');
  if (slash != std::string_view::npos && slash + 1 < url.size()) {
    const auto db = number<std::int32_t>(url.substr(slash + 1), 1 << 16);
    if (!db) return bad("must end with the number of a database");
    address.db = *db;
  }
  if (!parse_host(url.substr(0, slash), address)) return bad("must have a host and a port");
  return address;
}

}  // namespace quire::engine
