#pragma once
// CannedServer answers HTTP requests on a free loopback port with bytes that a test gives it, right
// or wrong ones: what a client makes of them is the test.
//
// Lifetime: serves from construction to destruction, one thread per connection.
// 1. The answer is sent as it is; `then_close` closes the connection after it.

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace quire::server {

using SendBytes = std::function<void(std::string_view)>;

struct CannedAnswer {
  std::string bytes{};
  bool then_close = false;
  std::function<void(const SendBytes& send)> more = nullptr;  // after `bytes`, in its own time
};

class CannedServer final {
 public:
  // `answer` is given the number of the request, from 0, and its body; called from any thread.
  using Script = std::function<CannedAnswer(int number, const std::string& body)>;

  explicit CannedServer(Script script);
  ~CannedServer();
  CannedServer(const CannedServer&) = delete;
  CannedServer& operator=(const CannedServer&) = delete;

  [[nodiscard]] std::string port() const { return port_; }
  [[nodiscard]] int connections() const { return connections_; }

 private:
  void accept_all();
  void serve(int socket);

  Script script_;
  int listener_ = -1;
  std::string port_;
  std::atomic<int> requests_{0};
  std::atomic<int> connections_{0};
  std::atomic<int> open_{0};
  std::thread acceptor_;
};

// The head of an answer in chunks, and one chunk; an empty one is the last.
[[nodiscard]] std::string chunked_head();
[[nodiscard]] std::string chunk_of(std::string_view bytes);
// 200 with the body in one chunk per element.
[[nodiscard]] std::string chunked_answer(const std::vector<std::string>& chunks);

}  // namespace quire::server
