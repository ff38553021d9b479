#include "server/session.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdio>
#include <exception>

#include "server/gate.h"
#include "server/log.h"

namespace quire::server {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// A job stops adding to its output here, until the socket took it.
constexpr std::size_t kMaxOutput = 64 * 1024;
// Thrown away while lingering; who sends more is cut off.
constexpr std::size_t kMaxLingerBytes = 8 * 1024 * 1024;
// A buffer that grew larger than this is given back after a request.
constexpr std::size_t kKeepBuffer = 4 * 1024;

const Error kOwnFault{ErrorCode::kInternal, "The server failed to answer this request."};

void shrink(std::string& buffer) {
  if (buffer.empty() && buffer.capacity() > kKeepBuffer) std::string().swap(buffer);
}

}  // namespace

Session::Session(IoThread& thread, Socket socket, Welcome welcome, const PeerAddress& peer)
    : Waker(thread.wakes),
      thread_(thread),
      service_(thread.service),
      limits_(service_.options().http),
      socket_(std::move(socket)),
      peer_(peer),
      event_(thread.context),
      welcome_(welcome) {
  thread_.sessions.insert(this);
}

Session::~Session() {
  leave_queue();
  thread_.sessions.erase(this);
  thread_.door.addresses.remove(peer_);
  thread_.door.connections.fetch_sub(1, std::memory_order_relaxed);
}

void Session::start() {
  if (thread_.stopping) return;
  error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  if (thread_.door.tls != nullptr) tls_ = thread_.door.tls->link(socket_.native_handle());
  asio::co_spawn(thread_.context, run(shared_from_this()), asio::detached);
}

void Session::abort() {
  close();
  wake();
}

void Session::close() {
  closed_ = true;
  if (tls_ != nullptr && socket_.is_open()) tls_->end();
  error_code ignored;
  socket_.close(ignored);
}

// ---- waiting
// --------------------------------------------------------------------------------------

void Session::woken() { wake(); }

void Session::wake() {
  woken_ = true;
  event_.cancel();
}

// Returns when something happened or the time has come; the caller looks which.
Session::Awaitable<void> Session::wait_until(Clock::time_point deadline) {
  if (!woken_) {
    event_.expires_at(deadline);
    co_await event_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  woken_ = false;
}

void Session::watch_for_input() {
  if (watching_input_ || closed_ || peer_closed_ || input_.size() >= limits_.max_buffered_bytes) {
    return;
  }
  watching_input_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](error_code) {
    self->watching_input_ = false;
    self->wake();
  });
}

void Session::watch_for_room() {
  if (watching_room_) return;
  watching_room_ = true;
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](error_code) {
    self->watching_room_ = false;
    self->wake();
  });
}

// ---- bytes in and out
// -----------------------------------------------------------------------------

// Takes what the socket has; true if there was something. Notes the peer's end.
bool Session::read_some() {
  const std::size_t room =
      limits_.max_buffered_bytes - std::min(input_.size(), limits_.max_buffered_bytes);
  if (closed_ || peer_closed_ || room == 0) return false;
  const std::size_t size = std::min(room, thread_.scratch.size());
  return tls_ != nullptr ? read_tls(size) : read_socket(size);
}

bool Session::read_socket(std::size_t size) {
  error_code ec;
  const std::size_t n = socket_.read_some(asio::buffer(thread_.scratch.data(), size), ec);
  if (ec == asio::error::would_block || ec == asio::error::interrupted) return false;
  if (ec) {
    peer_closed_ = true;
    return false;
  }
  input_.append(thread_.scratch.data(), n);
  return n > 0;
}

// Until the link has no more: what it holds decrypted, the socket's readiness does not tell of.
bool Session::read_tls(std::size_t size) {
  std::size_t read = 0;
  while (read < size) {
    std::size_t n = 0;
    const TlsLink::Outcome outcome = tls_->read({thread_.scratch.data(), size - read}, n);
    if (outcome == TlsLink::Outcome::kClosed) peer_closed_ = true;
    if (outcome != TlsLink::Outcome::kDone) break;
    input_.append(thread_.scratch.data(), n);
    read += n;
  }
  return read > 0;
}

// False: the connection is of no more use. Otherwise it took `sent` more bytes, or is watched until
// it takes some.
bool Session::write_some(std::string_view bytes, std::size_t& sent) {
  if (tls_ == nullptr) {
    error_code ec;
    sent = socket_.write_some(asio::buffer(bytes.data(), bytes.size()), ec);
    if (ec == asio::error::would_block) watch_for_room();
    return !ec || ec == asio::error::would_block;
  }
  switch (tls_->write(bytes, sent)) {
    case TlsLink::Outcome::kDone:
      return true;
    case TlsLink::Outcome::kWantsRoom:
      watch_for_room();
      return true;
    case TlsLink::Outcome::kWantsInput:
      watch_for_input();
      return true;
    case TlsLink::Outcome::kClosed:
      return false;
  }
  return false;
}

// `until_drain`: a server that drains ends the wait, though not what has come already.
Session::Awaitable<Session::Receive> Session::receive(Clock::time_point deadline,
                                                      bool until_drain) {
  while (true) {
    if (read_some()) co_return Receive::kData;
    if (closed_ || peer_closed_) co_return Receive::kClosed;
    if (until_drain && draining()) co_return Receive::kDraining;
    if (Clock::now() >= deadline) co_return Receive::kTimeout;
    watch_for_input();
    co_await wait_until(deadline);
  }
}

// Sends all of output_. False: the connection is of no more use (and is closed).
Session::Awaitable<bool> Session::send() {
  std::size_t sent = 0;
  Clock::time_point deadline = Clock::now() + limits_.write_stall_timeout;
  while (sent < output_.size() && !closed_) {
    std::size_t n = 0;
    if (!write_some(std::string_view(output_).substr(sent), n) || Clock::now() >= deadline) {
      close();
      break;
    }
    sent += n;
    if (n > 0) {
      deadline = Clock::now() + limits_.write_stall_timeout;
      continue;
    }
    do {
      co_await wait_until(deadline);
    } while (watching_room_ && !closed_ && Clock::now() < deadline);
  }
  output_.clear();
  shrink(output_);
  co_return !closed_;
}

// False: it did not come to TLS in time.
Session::Awaitable<bool> Session::shake_hands() {
  const Clock::time_point deadline = Clock::now() + limits_.tls_handshake_timeout;
  while (!closed_ && Clock::now() < deadline) {
    switch (tls_->handshake()) {
      case TlsLink::Outcome::kDone:
        co_return true;
      case TlsLink::Outcome::kWantsInput:
        watch_for_input();
        break;
      case TlsLink::Outcome::kWantsRoom:
        watch_for_room();
        break;
      case TlsLink::Outcome::kClosed:
        co_return false;
    }
    co_await wait_until(deadline);
  }
  co_return false;
}

// ---- one request
// ----------------------------------------------------------------------------------

void Session::feed(RequestParser& parser) {
  const std::size_t used = parser.feed(input_);
  input_.erase(0, used);
  shrink(input_);
}

// False: the connection ends (the answer, if any, was sent).
Session::Awaitable<bool> Session::read_header(RequestParser& parser) {
  const bool first = num_requests_ == 0;
  Clock::time_point deadline =
      Clock::now() + (first ? limits_.header_timeout : limits_.idle_timeout);
  bool begun = first;
  while (true) {
    if (!input_.empty() && !begun) {
      begun = true;
      deadline = Clock::now() + limits_.header_timeout;
    }
    feed(parser);
    if (parser.state() == RequestParser::State::kHeader) co_return true;
    if (parser.state() == RequestParser::State::kError) {
      co_await refuse_parse(parser.error_status(), parser.error_message());
      co_return false;
    }
    const Receive got = co_await receive(deadline);
    if (got == Receive::kClosed) co_return false;
    if (got == Receive::kTimeout) {
      if (!input_.empty()) co_await refuse_parse(408, "The request did not come in time.");
      co_return false;
    }
  }
}

// False: the peer has gone. Otherwise the body is there, or the writer has an answer that refuses
// it.
Session::Awaitable<bool> Session::read_body(RequestParser& parser, ResponseWriter& writer) {
  const Clock::time_point last = Clock::now() + limits_.body_timeout;
  if (parser.request().expects_continue && input_.empty()) {
    output_ += "HTTP/1.1 100 Continue\r\n\r\n";
    if (!co_await send()) co_return false;
  }
  while (true) {
    feed(parser);
    if (parser.state() == RequestParser::State::kDone) co_return true;
    if (parser.state() == RequestParser::State::kError) {
      writer.respond(refusal(parser.error_status(), parser.error_message()));
      co_return true;
    }
    const Receive got =
        co_await receive(std::min(last, Clock::now() + limits_.body_gap_timeout), true);
    if (got == Receive::kClosed) co_return false;
    if (got == Receive::kDraining) {
      writer.respond(refusal(503, "The server is shutting down."));
      co_return true;
    }
    if (got == Receive::kTimeout || Clock::now() >= last) {
      writer.respond(refusal(408, "The body did not come in time."));
      co_return true;
    }
  }
}

// After it the connection closes.
HttpResponse Session::refusal(int status, std::string_view message) {
  const ErrorCode code = status == 413   ? ErrorCode::kTooLarge
                         : status == 503 ? ErrorCode::kUnavailable
                                         : ErrorCode::kInvalidRequest;
  HttpResponse response{
      .status = status, .body = proto::error_body({code, std::string(message)}), .close = true};
  if (status == 503) response.fields.emplace_back("Retry-After", "1");
  return response;
}

// Answers what never became a request; the connection closes.
Session::Awaitable<void> Session::refuse_parse(int status, std::string_view message) {
  HttpRequest nothing;
  assign_id(nothing);
  ResponseWriter writer(nothing, false);
  writer.add_field("X-Request-Id", nothing.id);
  writer.respond(refusal(status, message));
  writer.take(output_);
  RequestRecord record;
  finish_record(record, nothing, writer, Clock::now());
  if (co_await send()) co_await linger();
}

// Lets the peer read the answer before the connection goes: what it still sends is thrown away.
Session::Awaitable<void> Session::linger() {
  if (tls_ != nullptr) tls_->end();
  error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
  const Clock::time_point deadline = Clock::now() + limits_.linger_timeout;
  std::size_t thrown_away = 0;
  while (thrown_away < kMaxLingerBytes) {
    thrown_away += input_.size();
    input_.clear();
    if (co_await receive(deadline) != Receive::kData || Clock::now() >= deadline) co_return;
  }
}

void Session::assign_id(HttpRequest& request) {
  const std::string_view theirs = request.field("x-request-id");
  if (is_request_id(theirs)) {
    request.id = theirs;
    return;
  }
  char text[32];
  std::snprintf(text, sizeof text, "req-%016llx", static_cast<unsigned long long>(service_.draw()));
  request.id = text;
}

// True: the connection takes another request.
Session::Awaitable<bool> Session::serve_one() {
  RequestParser parser(limits_, &service_.bodies());
  if (!co_await read_header(parser)) co_return false;
  const InFlight counted(service_);
  const Clock::time_point since = Clock::now();
  ++num_requests_;
  HttpRequest& request = parser.request();
  request.peer = peer_;
  assign_id(request);
  const bool last = num_requests_ >= limits_.max_requests_per_connection ||
                    welcome_ != Welcome::kServe || draining();
  ResponseWriter writer(request, request.keep_alive && !last);
  writer.add_field("X-Request-Id", request.id);
  add_cors_fields(service_.options(), request, writer);
  RequestRecord record;
  co_await answer(parser, writer, record);
  finish_record(record, request, writer, since);
  if (!writer.started() || closed_) co_return false;
  if (parser.state() != RequestParser::State::kDone) co_await linger();
  co_return writer.keep_alive() && parser.state() == RequestParser::State::kDone;
}

std::optional<HttpResponse> Session::refuse(HttpRequest& request, Match& match) {
  switch (welcome_) {
    case Welcome::kServe:
      break;
    case Welcome::kTooMany:
      return service_.error_response(
          {ErrorCode::kUnavailable, "The server has too many connections; retry later."});
    case Welcome::kTooManyOfAddress:
      return service_.error_response(
          {ErrorCode::kOverloaded, "Too many connections from this address; retry later."});
  }
  return refuse_at_gate(service_, thread_.door.routes, request, match);
}

Session::Awaitable<void> Session::answer(RequestParser& parser, ResponseWriter& writer,
                                         RequestRecord& record) {
  HttpRequest& request = parser.request();
  record.id = request.id;
  Match match;
  auto refusal = refuse(request, match);
  record.key_name = request.key_name;
  if (match.route != nullptr) record.route = match.route->path;
  std::unique_ptr<Job> job;
  if (refusal) {
    feed(parser);  // a request without a body is complete
    refusal->close = refusal->close || parser.state() != RequestParser::State::kDone;
    writer.respond(*refusal);
  } else {
    if (!co_await read_body(parser, writer)) co_return;
    request.path_arg = std::move(match.path_arg);
    if (!writer.started()) job = call_handler(*match.route, request, writer);
  }
  co_await run_job(job.get(), writer);
  if (job != nullptr) job->describe(record);
}

std::unique_ptr<Job> Session::call_handler(const Route& route, HttpRequest& request,
                                           ResponseWriter& writer) try {
  return route.handle({service_, request, writer, *this});
} catch (const std::exception& error) {
  log_error("handler failed", {{"id", std::string_view(request.id)},
                               {"route", route.path},
                               {"error", std::string_view(error.what())}});
  if (!writer.started()) writer.respond(service_.error_response(kOwnFault));
  return nullptr;
}

void Session::advance(Job& job, ResponseWriter& writer) try {
  job.advance(writer, kMaxOutput);
} catch (const std::exception& error) {
  log_error("answer failed", {{"error", std::string_view(error.what())}});
  if (writer.streaming()) {
    writer.event(proto::error_body(kOwnFault));
    writer.end_stream();
  } else if (!writer.started()) {
    writer.respond(service_.error_response(kOwnFault));
  } else {
    close();  // in the middle of a body: only a cut connection says that it is not whole
  }
}

// Sends what the writer has, and what the job adds, until the answer has ended.
Session::Awaitable<void> Session::run_job(Job* job, ResponseWriter& writer) {
  Clock::time_point last_output = Clock::now();
  while (true) {
    if (job != nullptr && !writer.ended()) advance(*job, writer);
    if (writer.has_output()) {
      writer.take(output_);
      const bool large = output_.size() >= kMaxOutput;
      if (!co_await send()) co_return;
      last_output = Clock::now();
      if (writer.ended()) co_return;
      // A peer that takes everything at once never makes send() wait: the others' turn.
      if (large) co_await asio::post(thread_.context, asio::use_awaitable);
    } else {
      const Clock::time_point ping_at = last_output + limits_.ping_interval;
      if (writer.streaming() && Clock::now() >= ping_at) {
        writer.ping();
        continue;
      }
      watch_for_input();
      co_await wait_until(writer.streaming() ? ping_at : Clock::time_point::max());
    }
    if (!watching_input_) read_some();
    // With a full buffer nothing more is read, and the peer's end could not be seen.
    if (peer_closed_ || closed_ || input_.size() >= limits_.max_buffered_bytes) {
      close();
      co_return;
    }
  }
}

// The end of a request, also of one whose client left before an answer.
void Session::finish_record(RequestRecord& record, const HttpRequest& request,
                            const ResponseWriter& writer, Clock::time_point since) {
  const ServiceOptions& options = service_.options();
  if (record.id.empty()) record.id = request.id;
  record.status = writer.status();
  record.seconds = std::chrono::duration<double>(Clock::now() - since).count();
  if (log_enabled(LogLevel::kInfo)) {
    log_request(record, request.method, options.model_name, options.log_content);
  }
  if (!record.answer_id.empty()) service_.recent().add(std::move(record));
}

Session::Awaitable<void> Session::run(std::shared_ptr<Session> self) {
  try {
    const bool ready = self->tls_ == nullptr || co_await self->shake_hands();
    while (ready && co_await self->serve_one()) {
    }
  } catch (const std::exception& error) {
    log_error("connection failed", {{"error", std::string_view(error.what())}});
  }
  self->close();
}

}  // namespace quire::server
