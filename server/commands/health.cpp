// quire health: asks /health once; for container health checks, so it needs nothing but itself.

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "server/commands/commands.h"

namespace quire::server {
namespace {

constexpr int kTimeoutSeconds = 3;

struct Target {
  std::string host, port;
};

Target parse_url(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  if (url.starts_with("https://")) {
    throw UsageError("--url: this speaks no TLS; a server with TLS answers at its --metrics-port");
  }
  if (!url.starts_with(kScheme)) throw UsageError("--url: must begin with http://");
  url.remove_prefix(kScheme.size());
  url = url.substr(0, url.find('/'));
  Target target{.host = std::string(url), .port = "80"};
  const std::size_t colon = url.rfind(':');
  const bool in_brackets =
      url.find(']', colon == std::string_view::npos ? 0 : colon) != std::string_view::npos;
  if (colon != std::string_view::npos && !in_brackets) {
    target = {.host = std::string(url.substr(0, colon)),
              .port = std::string(url.substr(colon + 1))};
  }
  if (target.host.starts_with('[') && target.host.ends_with(']')) {
    target.host = target.host.substr(1, target.host.size() - 2);
  }
  if (target.host.empty()) throw UsageError("--url: has no host");
  return target;
}

int connect_to(const Target& target) {
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

std::string ask(int fd, const Target& target) {
  const std::string request =
      "GET /health HTTP/1.1\r\nHost: " + target.host + "\r\nConnection: close\r\n\r\n";
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
  const Target target = parse_url(config.url);
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
