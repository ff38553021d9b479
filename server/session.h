#pragma once
// Session: one connection, one coroutine, on its I/O thread (each io_context has one thread, which
// is the strand of all its connections).
//
// The coroutine reads one request under limits of size and time, passes the gate, runs the handler
// and sends what the job says until it ends, then the next request. It waits on one timer only;
// whatever happens (bytes arrive, the socket takes bytes again, the engine has tokens, the server
// stops) cancels that timer, and the coroutine looks at everything anew.
// 1. While a job runs, the socket is watched: a peer that goes away ends the job at once.
// 2. After a framing error or a refusal with the body unread, the connection closes.
// 3. Idle and streaming connections hold no read buffer; received bytes that are not parsed are at
//    most max_buffered_bytes.
// This header and its two users are the only ones that include Asio.

#include <array>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>

#include "server/http.h"
#include "server/request_parser.h"
#include "server/response_writer.h"
#include "server/router.h"
#include "server/service.h"
#include "server/wake_queue.h"

namespace quire::server {

class Session;

// What the connections of one I/O thread share. Its thread only, but for `wakes`.
struct IoThread {
  explicit IoThread(Service& shared_service)
      : service(shared_service), wake_watch(context, wakes.fd()) {}
  ~IoThread() { wake_watch.release(); }

  Service& service;
  bool stopping = false;  // a connection that still comes ends at once
  WakeQueue wakes;
  std::unordered_set<Session*> sessions;
  std::array<char, 64 * 1024> scratch{};             // what one read takes
  boost::asio::io_context context{1};                // after what its coroutines use
  boost::asio::posix::stream_descriptor wake_watch;  // of wakes.fd(); released, never closed
};

class Session final : public Waker, public std::enable_shared_from_this<Session> {
 public:
  using Clock = std::chrono::steady_clock;
  using Socket = boost::asio::ip::tcp::socket;

  // overloaded: there are too many connections; it answers one request with 503. `connections` is
  // counted down at the end.
  Session(IoThread& thread, Socket socket, bool overloaded, std::atomic<int>& connections);
  ~Session() override;

  // Starts the coroutine, which keeps the session alive.
  void start();
  // Ends the connection now, whatever it is doing.
  void abort();

 private:
  enum class Receive : std::uint8_t { kData, kClosed, kTimeout };
  template <typename T>
  using Awaitable = boost::asio::awaitable<T>;

  static Awaitable<void> run(std::shared_ptr<Session> self);
  Awaitable<bool> serve_one();
  Awaitable<bool> read_header(RequestParser& parser);
  Awaitable<bool> read_body(RequestParser& parser);
  Awaitable<void> answer(RequestParser& parser, ResponseWriter& writer);
  std::unique_ptr<Job> call_handler(const Route& route, HttpRequest& request,
                                    ResponseWriter& writer);
  void advance(Job& job, ResponseWriter& writer);
  Awaitable<void> run_job(std::unique_ptr<Job> job, ResponseWriter& writer);
  Awaitable<void> refuse_parse(int status, std::string_view message);
  Awaitable<void> linger();
  Awaitable<bool> send();
  Awaitable<Receive> receive(Clock::time_point deadline);
  Awaitable<void> wait_until(Clock::time_point deadline);

  void woken() override;
  void wake();
  bool read_some();
  void watch_for_input();
  void watch_for_room();
  void feed(RequestParser& parser);
  void assign_id(HttpRequest& request);
  void log_access(const HttpRequest& request, const ResponseWriter& writer,
                  Clock::time_point since) const;
  void close();

  IoThread& thread_;
  Service& service_;
  const HttpLimits& limits_;
  Socket socket_;
  std::atomic<int>& connections_;
  boost::asio::steady_timer event_;
  std::string input_;   // received, not yet parsed
  std::string output_;  // to be sent
  std::size_t num_requests_ = 0;
  std::int64_t num_tokens_ = 0;  // of the request being answered
  std::string_view route_ = "-";
  bool overloaded_;
  bool woken_ = false;
  bool watching_input_ = false;
  bool watching_room_ = false;
  bool peer_closed_ = false;
  bool closed_ = false;
};

}  // namespace quire::server
