#include "tests/server/live_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <thread>

#include "proto/check.h"

namespace quire::server::testing {
namespace {

constexpr std::chrono::seconds kPatience{120};

std::size_t parse_size_text(std::string_view text, int base) {
  std::size_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

}  // namespace

LiveServer::LiveServer(LiveOptions options) {
  if (options.service.model_name.empty()) options.service.model_name = "fake";
  options.listener.port = 0;
  service_ = std::make_unique<Service>(options.service);
  if (options.with_engine) {
    engine_ = engine::testing::fake_engine(options.script, options.engine, options.num_blocks,
                                           &executor_, options.step_delay);
    while (!engine_->status().ready) std::this_thread::yield();
    service_->set_engine(*engine_);
  }
  server_ = std::make_unique<HttpServer>(options.listener, *service_, options.tls, options.table);
  server_->start();
}

LiveServer::~LiveServer() {
  server_->stop();
  service_->work().stop();
}

bool LiveServer::wait_idle() {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < deadline) {
    const engine::EngineStatus status = engine_->status();
    if (status.running == 0 && status.waiting == 0 && service_->in_flight() == 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

std::string Answer::field(std::string_view name) const {
  for (const auto& [key, value] : fields) {
    if (key == name) return value;
  }
  return {};
}

nlohmann::json Answer::json() const { return nlohmann::json::parse(body); }

std::vector<std::string> Answer::events() const {
  std::vector<std::string> events;
  std::string_view rest = body;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find("\n\n"), rest.size());
    const std::string_view event = rest.substr(0, end);
    if (event.starts_with("data: ")) events.emplace_back(event.substr(6));
    rest.remove_prefix(std::min(end + 2, rest.size()));
  }
  return events;
}

Client::Client(std::uint16_t port, int receive_buffer) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
  CHECK_GE(fd_, 0);
  const timeval limit{.tv_sec = kPatience.count(), .tv_usec = 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (receive_buffer > 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
}

Client::~Client() {
  if (fd_ >= 0) close(fd_);
}

bool Client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

void Client::close_write() { shutdown(fd_, SHUT_WR); }

void Client::reset() {
  const linger abrupt{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
  close(fd_);
  fd_ = -1;
}

bool Client::fill() {
  char bytes[16384];
  const ssize_t n = recv(fd_, bytes, sizeof bytes, 0);
  if (n <= 0) return false;
  buffer_.append(bytes, static_cast<std::size_t>(n));
  return true;
}

bool Client::read_until(std::string_view text) {
  while (buffer_.find(text) == std::string::npos) {
    if (!fill()) return false;
  }
  return true;
}

bool Client::at_end() {
  char byte;
  while (true) {
    const ssize_t n = recv(fd_, &byte, 1, 0);
    if (n == 0) return buffer_.empty();
    if (n < 0) return errno == ECONNRESET;
    buffer_ += byte;
  }
}

std::optional<std::string> Client::take_until(std::string_view text) {
  if (!read_until(text)) return std::nullopt;
  return take(buffer_.find(text) + text.size());
}

std::optional<std::string> Client::take(std::size_t size) {
  while (buffer_.size() < size) {
    if (!fill()) return std::nullopt;
  }
  std::string taken = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return taken;
}

Answer Client::read_answer(bool head_only) {
  Answer answer;
  const auto head = take_until("\r\n\r\n");
  if (!head) return answer;
  answer.status = static_cast<int>(parse_size_text(std::string_view(*head).substr(9, 3), 10));
  std::size_t at = head->find("\r\n") + 2;
  while (at + 2 < head->size()) {
    const std::size_t end = head->find("\r\n", at);
    const std::size_t colon = head->find(": ", at);
    answer.fields.emplace_back(to_lower(head->substr(at, colon - at)),
                               head->substr(colon + 2, end - colon - 2));
    at = end + 2;
  }
  if (head_only || answer.status == 204 || answer.status == 100) return answer;
  if (answer.field("transfer-encoding") == "chunked") {
    while (const auto line = take_until("\r\n")) {
      const auto piece = take(parse_size_text(*line, 16) + 2);
      if (!piece || piece->size() == 2) break;
      answer.body.append(*piece, 0, piece->size() - 2);
    }
  } else if (const std::string length = answer.field("content-length"); !length.empty()) {
    answer.body = take(parse_size_text(length, 10)).value_or("");
  } else {
    while (fill()) {
    }
    answer.body = std::exchange(buffer_, {});
  }
  return answer;
}

std::string get(std::string_view path, std::string_view fields) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n";
}

std::string post(std::string_view path, std::string_view body, std::string_view fields) {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n" + std::string(fields) + "\r\n" + std::string(body);
}

std::string completion(const nlohmann::json& body, std::string_view fields) {
  return post("/v1/completions", body.dump(), fields);
}

}  // namespace quire::server::testing
