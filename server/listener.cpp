#include "server/listener.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <thread>
#include <vector>

#include "proto/error.h"
#include "server/log.h"
#include "server/session.h"

namespace quire::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// Descriptors kept for files, logs and event queues.
constexpr std::int64_t kReservedFiles = 64;
// Served also where the limit on open files leaves fewer.
constexpr std::int64_t kFewestConnections = 16;
// Connections beyond max_connections that still get their 503.
constexpr int kOverloadConnections = 256;
// The same of one address, beyond its own limit, for their 429.
constexpr int kOverloadOfAddress = 32;
// What the kernel may keep for a peer that does not read (it doubles this for its own needs). By
// itself it would let a buffer grow to megabytes: 2,000 stalled readers would hold gigabytes.
constexpr int kSendBuffer = 64 * 1024;
// How long accepting pauses when the process is out of descriptors.
constexpr std::chrono::milliseconds kAcceptPause{100};

int open_spare() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

PeerAddress address_of(const tcp::socket& socket) {
  error_code ec;
  const auto endpoint = socket.remote_endpoint(ec);
  PeerAddress peer;
  if (ec) return peer;  // it has gone already
  asio::ip::address address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  peer.loopback = address.is_loopback();
  if (address.is_v4()) {
    const auto bytes = address.to_v4().to_bytes();
    peer.bytes = {0xff, 0xff, 0xff, 0xff};  // no network of IPv6 begins so
    std::copy(bytes.begin(), bytes.end(), peer.bytes.begin() + 4);
  } else {
    const auto bytes = address.to_v6().to_bytes();
    std::copy_n(bytes.begin(), peer.bytes.size(), peer.bytes.begin());
  }
  return peer;
}

bool out_of_files(error_code ec) {
  return ec == asio::error::no_descriptors || ec.value() == ENFILE ||
         ec == asio::error::no_buffer_space || ec == asio::error::no_memory;
}

// Wakes the connections of one I/O thread; ends when the watch is released or cancelled.
asio::awaitable<void> watch_wakes(IoThread& thread) {
  while (true) {
    const auto [ec] = co_await thread.wake_watch.async_wait(
        asio::posix::stream_descriptor::wait_read, asio::as_tuple(asio::use_awaitable));
    if (ec) co_return;
    thread.wakes.run();
  }
}

void run_thread(IoThread& thread) {
  while (true) {
    try {
      thread.context.run();
      return;
    } catch (const std::exception& error) {
      log_error("event loop caught", {{"error", std::string_view(error.what())}});
    }
  }
}

}  // namespace

std::int64_t raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<std::int64_t>(std::min<rlim_t>(limit.rlim_cur, 1 << 20));
}

struct HttpServer::State {
  State(const ListenerOptions& listener_options, Service& shared_service, const TlsContext* tls,
        std::span<const Route> table)
      : options(listener_options), service(shared_service), door{service, tls, table} {
    for (int i = 0; i < std::max(options.io_threads, 1); ++i) {
      io.push_back(std::make_unique<IoThread>(door));
    }
    acceptor = std::make_unique<tcp::acceptor>(io.front()->context);
    const std::int64_t files = raise_file_limit() - kReservedFiles - kOverloadConnections;
    const std::int64_t most = std::max<std::int64_t>(files, kFewestConnections);
    max_connections = static_cast<int>(std::min<std::int64_t>(most, options.max_connections));
  }

  void bind();
  asio::awaitable<void> accept_loop();
  void shed(IoThread& thread);
  void adopt(IoThread& thread, tcp::socket socket);
  [[nodiscard]] Welcome welcome(int count, int of_address, const PeerAddress& peer) const;
  [[nodiscard]] int most_of(const PeerAddress& peer) const;
  [[nodiscard]] int num_connections() const {
    return door.connections.load(std::memory_order_relaxed);
  }

  ListenerOptions options;
  Service& service;
  Door door;
  int max_connections = 0;
  std::vector<std::unique_ptr<IoThread>> io;
  std::unique_ptr<tcp::acceptor> acceptor;
  std::vector<std::thread> threads;
  int spare_file = open_spare();
  std::size_t next_thread = 0;
};

void HttpServer::State::bind() {
  const std::string where = options.host + ":" + std::to_string(options.port);
  error_code ec;
  const auto address =
      asio::ip::make_address(options.host == "localhost" ? "127.0.0.1" : options.host, ec);
  if (ec) throw StartupError("--host: " + options.host + " is not an address");
  const tcp::endpoint endpoint(address, options.port);
  acceptor->open(endpoint.protocol(), ec);
  if (!ec) acceptor->set_option(tcp::acceptor::reuse_address(true), ec);
  // Every connection inherits it.
  if (!ec) acceptor->set_option(asio::socket_base::send_buffer_size(kSendBuffer), ec);
  if (!ec) acceptor->bind(endpoint, ec);
  if (!ec) acceptor->listen(options.backlog, ec);
  if (ec) {
    throw StartupError(options.port_flag + ": cannot listen on " + where + ": " + ec.message());
  }
}

// Out of descriptors: the spare one lets the oldest waiting connection in, to be closed at once, so
// that the peer knows and the queue moves.
void HttpServer::State::shed(IoThread& thread) {
  if (spare_file < 0) return;
  close(spare_file);
  {
    error_code ignored;
    acceptor->non_blocking(true, ignored);
    tcp::socket refused(thread.context);
    acceptor->accept(refused, ignored);
  }
  spare_file = open_spare();
}

// 0: any number.
int HttpServer::State::most_of(const PeerAddress& peer) const {
  if (options.max_connections_per_address) return *options.max_connections_per_address;
  return peer.loopback ? 0 : kMaxConnectionsPerAddress;
}

Welcome HttpServer::State::welcome(int count, int of_address, const PeerAddress& peer) const {
  if (count > max_connections) return Welcome::kTooMany;
  const int most = most_of(peer);
  return most != 0 && of_address > most ? Welcome::kTooManyOfAddress : Welcome::kServe;
}

// Far beyond a limit the connection is closed without a word.
void HttpServer::State::adopt(IoThread& thread, tcp::socket socket) {
  const PeerAddress peer = address_of(socket);
  const int count = door.connections.fetch_add(1, std::memory_order_relaxed) + 1;
  const int of_address = door.addresses.add(peer);
  const int most = most_of(peer);
  if (count > max_connections + kOverloadConnections ||
      (most != 0 && of_address > most + kOverloadOfAddress)) {
    door.addresses.remove(peer);
    door.connections.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  auto moved = std::make_shared<tcp::socket>(std::move(socket));
  asio::post(thread.context, [&thread, moved, peer, met = welcome(count, of_address, peer)] {
    std::make_shared<Session>(thread, std::move(*moved), met, peer)->start();
  });
}

asio::awaitable<void> HttpServer::State::accept_loop() {
  IoThread& own = *io.front();
  asio::steady_timer pause(own.context);
  while (acceptor->is_open()) {
    IoThread& thread = *io[next_thread];
    auto [ec, socket] =
        co_await acceptor->async_accept(thread.context, asio::as_tuple(asio::use_awaitable));
    if (!ec) {
      next_thread = (next_thread + 1) % io.size();
      adopt(thread, std::move(socket));
    } else if (out_of_files(ec)) {
      shed(own);
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    } else if (ec == asio::error::operation_aborted) {
      co_return;
    }
  }
}

HttpServer::HttpServer(const ListenerOptions& options, Service& service, const TlsContext* tls,
                       std::span<const Route> table)
    : state_(std::make_unique<State>(options, service, tls, table)) {
  state_->bind();
}

HttpServer::~HttpServer() {
  stop();
  close(state_->spare_file);
}

void HttpServer::start() {
  asio::co_spawn(state_->io.front()->context, state_->accept_loop(), asio::detached);
  for (const auto& thread : state_->io) {
    asio::co_spawn(thread->context, watch_wakes(*thread), asio::detached);
    state_->threads.emplace_back([&io_thread = *thread] { run_thread(io_thread); });
  }
}

void HttpServer::wake_all() {
  for (const auto& thread : state_->io) {
    asio::post(thread->context, [&io_thread = *thread] {
      for (Session* session : io_thread.sessions) session->wake();
    });
  }
}

// Each thread ends when it has nothing left: no acceptor, no watch, no connection.
void HttpServer::stop() {
  if (state_->threads.empty()) return;
  asio::post(state_->io.front()->context, [state = state_.get()] {
    error_code ignored;
    state->acceptor->close(ignored);
  });
  for (const auto& thread : state_->io) {
    asio::post(thread->context, [&io_thread = *thread] {
      io_thread.stopping = true;
      const std::vector<Session*> sessions(io_thread.sessions.begin(), io_thread.sessions.end());
      for (Session* session : sessions) session->abort();
      io_thread.wake_watch.cancel();
    });
  }
  for (std::thread& thread : state_->threads) thread.join();
  state_->threads.clear();
}

std::uint16_t HttpServer::port() const { return state_->acceptor->local_endpoint().port(); }
int HttpServer::max_connections() const { return state_->max_connections; }
int HttpServer::num_connections() const { return state_->num_connections(); }

}  // namespace quire::server
