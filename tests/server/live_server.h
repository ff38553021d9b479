#pragma once
// A whole server in this process: fake model, real engine, real sockets on a free loopback port;
// and a raw client that sees every byte.

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/listener.h"
#include "server/service.h"
#include "tests/engine/fake_engine.h"

namespace quire::server::testing {

struct LiveOptions {
  ServiceOptions service;
  ListenerOptions listener;
  engine::EngineOptions engine;
  engine::testing::Script script = engine::testing::alphabet;
  std::chrono::milliseconds step_delay{0};
  std::int64_t num_blocks = 4096;
  bool with_engine = true;          // false: still loading
  const TlsContext* tls = nullptr;  // outlives the server; null: plain
  std::span<const Route> table = routes();
};

class LiveServer final {
 public:
  explicit LiveServer(LiveOptions options = {});
  ~LiveServer();

  [[nodiscard]] std::uint16_t port() const { return server_->port(); }
  [[nodiscard]] Service& service() { return *service_; }
  [[nodiscard]] engine::Engine& engine() { return *engine_; }
  [[nodiscard]] engine::testing::FakeExecutor& executor() { return *executor_; }
  [[nodiscard]] HttpServer& server() { return *server_; }
  // Until nothing runs or waits in the engine and no request is in flight; false after 2 minutes.
  [[nodiscard]] bool wait_idle();

 private:
  std::unique_ptr<Service> service_;
  std::unique_ptr<engine::Engine> engine_;
  engine::testing::FakeExecutor* executor_ = nullptr;
  std::unique_ptr<HttpServer> server_;
};

struct Answer {
  int status = 0;  // 0: the connection ended before one came
  std::vector<std::pair<std::string, std::string>> fields;  // names in lower case
  std::string body;
  [[nodiscard]] std::string field(std::string_view name) const;
  [[nodiscard]] nlohmann::json json() const;
  // The payloads of a stream's events.
  [[nodiscard]] std::vector<std::string> events() const;
};

class Client final {
 public:
  explicit Client(std::uint16_t port, int receive_buffer = 0);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // False: the peer closed.
  bool send(std::string_view bytes);
  // One answer with its whole body, chunks joined.
  [[nodiscard]] Answer read_answer(bool head_only = false);
  // Reads until `text` has come; false: it never does.
  bool read_until(std::string_view text);
  // The peer's end: true once everything was read and it has closed (within 20 s).
  [[nodiscard]] bool at_end();
  [[nodiscard]] Answer ask(std::string_view bytes) {
    send(bytes);
    return read_answer();
  }
  void close_write();
  // Ends with a reset instead of an orderly end.
  void reset();
  [[nodiscard]] const std::string& buffered() const { return buffer_; }
  [[nodiscard]] std::string take_buffered() { return std::exchange(buffer_, {}); }
  [[nodiscard]] int descriptor() const { return fd_; }

 private:
  bool fill();
  std::optional<std::string> take_until(std::string_view text);
  std::optional<std::string> take(std::size_t size);

  int fd_;
  std::string buffer_;
};

[[nodiscard]] std::string get(std::string_view path, std::string_view fields = "");
[[nodiscard]] std::string post(std::string_view path, std::string_view body,
                               std::string_view fields = "");
// A POST to /v1/completions.
[[nodiscard]] std::string completion(const nlohmann::json& body, std::string_view fields = "");

}  // namespace quire::server::testing
