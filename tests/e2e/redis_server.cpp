#include "tests/e2e/redis_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

namespace quire::e2e {
namespace {

constexpr int kNotFound = 127;  // what a shell says of a program that is not there

// A socket bound to 127.0.0.1, or connected to it; -1 where that is refused.
int open_socket(std::uint16_t port, decltype(&::connect) join) {
  const int file = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (join(file, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return file;
  ::close(file);
  return -1;
}

std::uint16_t free_port() {
  const int file = open_socket(0, ::bind);
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (file < 0 || ::getsockname(file, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("no free port");
  ::close(file);
  return ntohs(address.sin_port);
}

// Its process, or 0 where neither program is installed.
pid_t spawn(std::uint16_t port) {
  const std::string script =
      "for name in redis-server valkey-server; do command -v $name > /dev/null && exec $name "
      "--port " +
      std::to_string(port) +
      " --bind 127.0.0.1 --save '' --appendonly no --dir /tmp > /dev/null; done; exit 127";
  std::array<std::string, 3> words = {"sh", "-c", script};
  std::array<char*, 4> argv = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  pid_t process = 0;
  if (::posix_spawnp(&process, "sh", nullptr, nullptr, argv.data(), environ) != 0)
    throw std::runtime_error("no shell");
  return process;
}

}  // namespace

std::unique_ptr<RedisServer> RedisServer::start() {
  const std::uint16_t port = free_port();
  const pid_t process = spawn(port);
  for (int left = 1000; left > 0; --left) {
    int status = 0;
    if (::waitpid(process, &status, WNOHANG) == process) {
      if (WIFEXITED(status) && WEXITSTATUS(status) == kNotFound) return nullptr;
      throw std::runtime_error("redis-server ended at once");
    }
    const int file = open_socket(port, ::connect);
    if (file >= 0) {
      ::close(file);
      return std::unique_ptr<RedisServer>(new RedisServer(process, port));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ::kill(process, SIGKILL);
  throw std::runtime_error("redis-server does not answer");
}

RedisServer::~RedisServer() {
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
}

}  // namespace quire::e2e
