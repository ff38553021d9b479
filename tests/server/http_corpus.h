#pragma once
// Requests that a server must refuse, and a few that it must take: framing that two parties could
// read differently, limits, and what broke other servers. For the parser alone and for a live
// server.

#include <string>
#include <vector>

namespace quire::server::testing {

struct HttpCase {
  std::string name;
  std::string bytes;
  int status = 0;  // what refuses it; 0: it is accepted
};

[[nodiscard]] const std::vector<HttpCase>& http_corpus();

}  // namespace quire::server::testing
