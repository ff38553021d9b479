#pragma once
// Session: one connection, one coroutine, on its I/O thread (each io_context has one thread, which
// is the strand of all its connections).
//
// The coroutine reads one request under limits of size and time, passes the gate, runs the handler
// and sends what the job says until it ends, then the next request. It waits in one place only,
// Connection::wait_until(), which bytes, room, tokens of the engine and the server's end all end.
// 1. While a job runs, the socket is watched: a peer that goes away ends the job at once, and so
//    does one that sends so much behind its request that its end could no longer be seen.
// 2. After a framing error or a refusal with the body unread, the connection closes.
// 3. A body that is still coming when the server drains is refused, so that it cannot hold the end.
// Beside the listener and the load generator (commands/bench_client.cpp), only sessions and their
// connections include Asio.

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

#include "server/connection.h"
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
  using Clock = Connection::Clock;
  using Socket = Connection::Socket;

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

  static Awaitable<void> run(std::shared_ptr<Session> self);
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
  [[nodiscard]] bool draining() const { return service_.phase() > Service::Phase::kServing; }
  Awaitable<Receive> receive(Clock::time_point deadline, bool until_drain = false);

  void woken() override;
  void feed(RequestParser& parser);
  void assign_id(HttpRequest& request);
  void finish_record(RequestRecord& record, const HttpRequest& request,
                     const ResponseWriter& writer, Clock::time_point since);

  IoThread& thread_;
  Service& service_;
  const HttpLimits& limits_;
  const std::shared_ptr<Connection> connection_;  // never null; its pending waits share it
  const PeerAddress peer_;
  std::size_t num_requests_ = 0;
  Welcome welcome_;
};

}  // namespace quire::server
