#pragma once
// HttpServer: the listening socket, the I/O threads and their connections.
//
// Made, started and stopped by one thread; the service outlives it. It answers from start() on,
// also while the model is still being loaded.
// 1. At most max_connections are served; beyond, a connection gets one 503; far beyond, it is
// closed. The same for those of one address, with 429.
// 2. Running out of file descriptors never makes it spin: it sheds one connection and waits.
// 3. stop() ends every connection, whatever its state, and joins its threads.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "server/router.h"
#include "server/service.h"
#include "server/tls.h"

namespace quire::server {

struct ListenerOptions {
  std::string host = "127.0.0.1";    // an address, or localhost
  std::uint16_t port = 8000;         // 0: any free one
  std::string port_flag = "--port";  // which setting an error is to name
  int io_threads = 1;
  int max_connections = 10000;  // cut to what the limit on open files allows
  int backlog = 4096;
  // Of one address. Absent: kMaxConnectionsPerAddress, and any number on the loopback, where a
  // proxy's are all from one address; 0: any number.
  std::optional<int> max_connections_per_address = {};
};
inline constexpr int kMaxConnectionsPerAddress = 512;

class HttpServer final {
 public:
  // Binds and listens. Throws StartupError naming host and port. `tls` may be null (plain), and
  // outlives it.
  HttpServer(const ListenerOptions& options, Service& service, const TlsContext* tls = nullptr,
             std::span<const Route> table = routes());
  ~HttpServer();  // stop()
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  void start();
  // Has every connection look at everything anew: after a change of the service's phase. Any
  // thread, between start() and stop().
  void wake_all();
  void stop();
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] int max_connections() const;
  [[nodiscard]] int num_connections() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Raises the soft limit on open files to the hard one; returns it.
std::int64_t raise_file_limit();

}  // namespace quire::server
