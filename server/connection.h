#pragma once
// Connection: the bytes of one TCP or TLS connection, both ways, and the one timer it waits on.
//
// Lives on its I/O thread, used by one session's coroutine; waits of the socket that are still
// under way when the session ends keep it until they are through.
// 1. Whatever happens (bytes arrive, the socket takes bytes again, wake()) ends wait_until(), and
//    the coroutine looks at everything anew.
// 2. Received bytes that nobody took are at most max_buffered_bytes; idle it holds no buffer.
// 3. Of no more use once closed(); after gone() nothing more comes.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "server/http.h"
#include "server/tls.h"

namespace quire::server {

template <typename T>
using Awaitable = boost::asio::awaitable<T>;

class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;
  using Socket = boost::asio::ip::tcp::socket;

  // `scratch` is what one read takes; it may be shared by all connections of the thread.
  Connection(boost::asio::io_context& context, Socket socket, const HttpLimits& limits,
             std::span<char> scratch);

  // Null: plain. Before anything else.
  void open(const TlsContext* tls);
  // Ends both directions now.
  void close();
  // Tells the peer that nothing more comes.
  void end_output();
  // Ends the wait, or the next one at once.
  void wake();

  // False: it did not come to TLS in time. Plain: true at once.
  Awaitable<bool> shake_hands();
  // Sends all of output. False: the connection is of no more use (and is closed).
  Awaitable<bool> send();
  // Returns when something happened or the time has come; the caller looks which.
  Awaitable<void> wait_until(Clock::time_point deadline);
  // Takes what the socket has; true if there was something. Notes the peer's end.
  bool read_some();
  // Bytes that arrive end the next wait.
  void watch_for_input();

  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] bool gone() const { return closed_ || peer_closed_; }
  [[nodiscard]] bool watching_input() const { return watching_input_; }
  // Nothing more is read, and the peer's end could not be seen.
  [[nodiscard]] bool full() const { return input.size() >= limits_.max_buffered_bytes; }
  // Takes `size` bytes off the input.
  void consume(std::size_t size);

  std::string input;   // received, not yet taken
  std::string output;  // to be sent

 private:
  bool read_socket(std::size_t size);
  bool read_tls(std::size_t size);
  bool write_some(std::string_view bytes, std::size_t& sent);
  void watch_for_room();

  const HttpLimits& limits_;
  const std::span<char> scratch_;
  Socket socket_;
  std::unique_ptr<TlsLink> tls_;  // null: plain
  boost::asio::steady_timer event_;
  bool woken_ = false;
  bool watching_input_ = false;
  bool watching_room_ = false;
  bool peer_closed_ = false;
  bool closed_ = false;
};

}  // namespace quire::server
