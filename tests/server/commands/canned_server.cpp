#include "tests/server/commands/canned_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <utility>

namespace quire::server {
namespace {

// The body of the next request, or nothing once the client has closed.
std::optional<std::string> read_request(int socket, std::string& pending) {
  constexpr std::string_view kLength = "Content-Length: ";
  std::array<char, 65536> bytes;
  for (;;) {
    const std::size_t head = pending.find("\r\n\r\n");
    if (head != std::string::npos) {
      std::size_t length = 0;
      const std::size_t field = pending.find(kLength);
      if (field < head) {
        std::from_chars(pending.data() + field + kLength.size(), pending.data() + head, length);
      }
      if (pending.size() >= head + 4 + length) {
        std::string body = pending.substr(head + 4, length);
        pending.erase(0, head + 4 + length);
        return body;
      }
    }
    const ssize_t got = recv(socket, bytes.data(), bytes.size(), 0);
    if (got <= 0) return std::nullopt;
    pending.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

void send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

}  // namespace

CannedServer::CannedServer(Script script) : script_(std::move(script)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || bind(listener_, raw, size) != 0 || listen(listener_, 1024) != 0 ||
      getsockname(listener_, raw, &size) != 0) {
    throw std::runtime_error("no loopback port");
  }
  port_ = std::to_string(ntohs(address.sin_port));
  acceptor_ = std::thread([this] { accept_all(); });
}

CannedServer::~CannedServer() {
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  // The clients are gone before the test ends, so each connection's thread is about to end.
  while (open_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void CannedServer::accept_all() {
  for (;;) {
    const int accepted = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (accepted < 0) return;
    ++connections_;
    ++open_;
    std::thread([this, accepted] { serve(accepted); }).detach();
  }
}

void CannedServer::serve(int socket) {
  std::string pending;
  while (const auto body = read_request(socket, pending)) {
    const CannedAnswer answer = script_(requests_++, *body);
    send_all(socket, answer.bytes);
    if (answer.more) answer.more([socket](std::string_view bytes) { send_all(socket, bytes); });
    if (answer.then_close) break;
  }
  shutdown(socket, SHUT_RDWR);
  close(socket);
  --open_;
}

std::string chunked_head() {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
         "Transfer-Encoding: chunked\r\n\r\n";
}

std::string chunk_of(std::string_view bytes) {
  std::array<char, 16> size;
  const auto [end, error] = std::to_chars(size.data(), size.data() + size.size(), bytes.size(), 16);
  return std::string(size.data(), end).append("\r\n").append(bytes).append("\r\n");
}

std::string chunked_answer(const std::vector<std::string>& chunks) {
  std::string answer = chunked_head();
  for (const std::string& chunk : chunks) answer += chunk_of(chunk);
  return answer.append("0\r\n\r\n");
}

}  // namespace quire::server
