#pragma once
// Session: one connection, one coroutine, on its I/O thread (each io_context has one thread, which
// is the strand of all its connections).
//
// The coroutine reads one request under limits of size and time, passes the gate, runs the handler
// and sends what the job says until it ends, then the next request. It waits on one timer only;
// whatever happens (bytes arrive, the socket takes bytes again, the engine has tokens, the server
// stops) cancels that timer, and the coroutine looks at everything anew.
// 1. While a job runs, the socket is watched: a peer that goes away ends the job at once, and so
// does
//    one that sends so much behind its request that its end could no longer be seen.
// 2. After a framing error or a refusal with the body unread, the connection closes.
// 3. Idle and streaming connections hold no read buffer; received bytes that are not parsed are at
//    most max_buffered_bytes.
// 4. A body that is still coming when the server drains is refused, so that it cannot hold the end.
// Beside the listener and the load generator (commands/bench_client.cpp), only this room's sessions
// include Asio.

#include <array>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

#include "server/http.h"
#include "server/request_parser.h"
#include "server/request_record.h"
#include "server/response_writer.h"
#include "server/router.h"
#include "server/service.h"
#include "server/tls.h"
#include "server/wake_queue.h"

namespace quire::server {

class Session;

// What all connections of one listener share; any thread.
struct Door {
  Service& service;
  const TlsContext* tls;  // null: plain
  std::span<const Route> routes;
  std::atomic<int> connections{0};
  AddressConnections addresses = {};
};

// How a connection is met.
enum class Welcome : std::uint8_t { kServe, kTooMany, kTooManyOfAddress };

// What the connections of one I/O thread share. Its thread only, but for `wakes`.
struct IoThread {
  explicit IoThread(Door& shared_door)
      : door(shared_door), service(door.service), wake_watch(context, wakes.fd()) {}
  ~IoThread() { wake_watch.release(); }

  Door& door;
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

  // One that is too many gets its answer to one request. The door counts it until its end.
  Session(IoThread& thread, Socket socket, Welcome welcome, const PeerAddress& peer);
  ~Session() override;

  // Starts the coroutine, which keeps the session alive.
  void start();
  // Ends the connection now, whatever it is doing.
  void abort();
  // Has it look at everything anew.
  void wake();

 private:
  enum class Receive : std::uint8_t { kData, kClosed, kTimeout, kDraining };
  template <typename T>
  using Awaitable = boost::asio::awaitable<T>;

  static Awaitable<void> run(std::shared_ptr<Session> self);
  Awaitable<bool> shake_hands();
  Awaitable<bool> serve_one();
  Awaitable<bool> read_header(RequestParser& parser);
  Awaitable<bool> read_body(RequestParser& parser, ResponseWriter& writer);
  Awaitable<void> answer(RequestParser& parser, ResponseWriter& writer, RequestRecord& record);
  std::optional<HttpResponse> refuse(HttpRequest& request, Match& match);
  std::unique_ptr<Job> call_handler(const Route& route, HttpRequest& request,
                                    ResponseWriter& writer);
  void advance(Job& job, ResponseWriter& writer);
  Awaitable<void> run_job(Job* job, ResponseWriter& writer);
  static HttpResponse refusal(int status, std::string_view message);
  Awaitable<void> refuse_parse(int status, std::string_view message);
  Awaitable<void> linger();
  Awaitable<bool> send();
  [[nodiscard]] bool draining() const { return service_.phase() > Service::Phase::kServing; }
  Awaitable<Receive> receive(Clock::time_point deadline, bool until_drain = false);
  Awaitable<void> wait_until(Clock::time_point deadline);

  void woken() override;
  bool read_some();
  bool read_socket(std::size_t size);
  bool read_tls(std::size_t size);
  bool write_some(std::string_view bytes, std::size_t& sent);
  void watch_for_input();
  void watch_for_room();
  void feed(RequestParser& parser);
  void assign_id(HttpRequest& request);
  void finish_record(RequestRecord& record, const HttpRequest& request,
                     const ResponseWriter& writer, Clock::time_point since);
  void close();

  IoThread& thread_;
  Service& service_;
  const HttpLimits& limits_;
  Socket socket_;
  const PeerAddress peer_;
  std::unique_ptr<TlsLink> tls_;  // null: plain
  boost::asio::steady_timer event_;
  std::string input_;   // received, not yet parsed
  std::string output_;  // to be sent
  std::size_t num_requests_ = 0;
  Welcome welcome_;
  bool woken_ = false;
  bool watching_input_ = false;
  bool watching_room_ = false;
  bool peer_closed_ = false;
  bool closed_ = false;
};

}  // namespace quire::server
