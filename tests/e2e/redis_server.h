#pragma once
// RedisServer: a redis-server or valkey-server of this test's own, on a free port of 127.0.0.1,
// that keeps nothing on disk. Ends with the object.

#include <sys/types.h>

#include <cstdint>
#include <memory>

namespace quire::e2e {

class RedisServer final {
 public:
  // Null where neither program is installed. Throws std::runtime_error where it does not start.
  [[nodiscard]] static std::unique_ptr<RedisServer> start();
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  RedisServer(pid_t process, std::uint16_t port) : process_(process), port_(port) {}
  const pid_t process_;
  const std::uint16_t port_;
};

}  // namespace quire::e2e
