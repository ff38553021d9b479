#pragma once
// RemoteAddress: redis://[[user]:password@]host[:port][/db], taken apart.

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/error.h"

namespace quire::engine {

struct RemoteAddress {
  std::string host;
  std::uint16_t port = 6379;
  std::string user, password;
  std::int32_t db = 0;
};

// An error says what is wrong and never what was given: a password may stand in it. Parts may be
// percent-encoded; an IPv6 address stands in brackets.
[[nodiscard]] Result<RemoteAddress> parse_remote_url(std::string_view url);

}  // namespace quire::engine
