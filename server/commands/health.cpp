// quire health: asks /health once; for container health checks, so it needs nothing but itself.

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "server/commands/commands.h"
#include "server/commands/http_url.h"

namespace quire::server {
namespace {

constexpr int kTimeoutSeconds = 3;

int connect_to(const HttpUrl& target) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &found) != 0) return -1;
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    const int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0) continue;
    const timeval limit{.tv_sec = kTimeoutSeconds, .tv_usec = 0};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0) return fd;
    close(fd);
  }
  return -1;
}

std::string ask(int fd, const HttpUrl& target) {
  const std::string request =
      "GET /health HTTP/1.1\r\nHost: " + target.authority + "\r\nConnection: close\r\n\r\n";
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return {};
  }
  std::string answer;
  char buffer[1024];
  while (answer.size() < 4096) {
    const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) break;
    answer.append(buffer, static_cast<std::size_t>(n));
  }
  return answer;
}

}  // namespace

int run_health(const HealthConfig& config) {
  const HttpUrl target = parse_http_url(config.url);
  const int fd = connect_to(target);
  if (fd < 0) {
    std::fprintf(stderr, "quire: nothing answers at %s\n", config.url.c_str());
    return 1;
  }
  const std::string answer = ask(fd, target);
  close(fd);
  const bool healthy = answer.starts_with("HTTP/1.1 200 ");
  std::printf("%s\n", healthy ? "healthy" : "not healthy");
  return healthy ? 0 : 1;
}

}  // namespace quire::server
