#include "server/session.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
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

Session::Session(IoThread& thread, Socket socket, bool overloaded, std::atomic<int>& connections)
    : Waker(thread.wakes),
      thread_(thread),
      service_(thread.service),
      limits_(service_.options().http),
      socket_(std::move(socket)),
      connections_(connections),
      event_(thread.context),
      overloaded_(overloaded) {
  thread_.sessions.insert(this);
}

Session::~Session() {
  leave_queue();
  thread_.sessions.erase(this);
  connections_.fetch_sub(1, std::memory_order_relaxed);
}

void Session::start() {
  if (thread_.stopping) return;
  error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  asio::co_spawn(thread_.context, run(shared_from_this()), asio::detached);
}

void Session::abort() {
  close();
  wake();
}

void Session::close() {
  closed_ = true;
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
  error_code ec;
  const std::size_t size = std::min(room, thread_.scratch.size());
  const std::size_t n = socket_.read_some(asio::buffer(thread_.scratch.data(), size), ec);
  if (ec == asio::error::would_block || ec == asio::error::interrupted) return false;
  if (ec) {
    peer_closed_ = true;
    return false;
  }
  input_.append(thread_.scratch.data(), n);
  return n > 0;
}

Session::Awaitable<Session::Receive> Session::receive(Clock::time_point deadline) {
  while (true) {
    if (read_some()) co_return Receive::kData;
    if (closed_ || peer_closed_) co_return Receive::kClosed;
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
    error_code ec;
    const std::size_t n =
        socket_.write_some(asio::buffer(output_.data() + sent, output_.size() - sent), ec);
    sent += n;
    if (n > 0) deadline = Clock::now() + limits_.write_stall_timeout;
    if (!ec) continue;
    if (ec != asio::error::would_block || Clock::now() >= deadline) {
      close();
      break;
    }
    watch_for_room();
    while (watching_room_ && !closed_ && Clock::now() < deadline) co_await wait_until(deadline);
  }
  output_.clear();
  shrink(output_);
  co_return !closed_;
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

Session::Awaitable<bool> Session::read_body(RequestParser& parser) {
  const Clock::time_point last = Clock::now() + limits_.body_timeout;
  if (parser.request().expects_continue && input_.empty()) {
    output_ += "HTTP/1.1 100 Continue\r\n\r\n";
    if (!co_await send()) co_return false;
  }
  while (true) {
    feed(parser);
    if (parser.state() == RequestParser::State::kDone) co_return true;
    if (parser.state() == RequestParser::State::kError) {
      co_await refuse_parse(parser.error_status(), parser.error_message());
      co_return false;
    }
    const Receive got = co_await receive(std::min(last, Clock::now() + limits_.body_gap_timeout));
    if (got == Receive::kClosed) co_return false;
    if (got == Receive::kTimeout || Clock::now() >= last) {
      co_await refuse_parse(408, "The body did not come in time.");
      co_return false;
    }
  }
}

// Answers what never became a request; the connection closes.
Session::Awaitable<void> Session::refuse_parse(int status, std::string_view message) {
  HttpRequest nothing;
  assign_id(nothing);
  ResponseWriter writer(nothing, false);
  writer.add_field("X-Request-Id", nothing.id);
  const ErrorCode code = status == 413   ? ErrorCode::kTooLarge
                         : status == 503 ? ErrorCode::kUnavailable
                                         : ErrorCode::kInvalidRequest;
  HttpResponse response{.status = status, .body = proto::error_body({code, std::string(message)})};
  if (status == 503) response.fields.emplace_back("Retry-After", "1");
  writer.respond(response);
  writer.take(output_);
  route_ = "-";
  log_access(nothing, writer, Clock::now());
  if (co_await send()) co_await linger();
}

// Lets the peer read the answer before the connection goes: what it still sends is thrown away.
Session::Awaitable<void> Session::linger() {
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
  num_tokens_ = 0;
  HttpRequest& request = parser.request();
  assign_id(request);
  const bool last = num_requests_ >= limits_.max_requests_per_connection || overloaded_ ||
                    service_.phase() > Service::Phase::kServing;
  ResponseWriter writer(request, request.keep_alive && !last);
  writer.add_field("X-Request-Id", request.id);
  add_cors_fields(service_.options(), request, writer);
  co_await answer(parser, writer);
  if (!writer.started()) co_return false;
  log_access(request, writer, since);
  if (closed_) co_return false;
  if (parser.state() != RequestParser::State::kDone) co_await linger();
  co_return writer.keep_alive() && parser.state() == RequestParser::State::kDone;
}

Session::Awaitable<void> Session::answer(RequestParser& parser, ResponseWriter& writer) {
  HttpRequest& request = parser.request();
  Match match;
  std::optional<HttpResponse> refusal;
  if (overloaded_) {
    refusal = service_.error_response(
        {ErrorCode::kUnavailable, "The server has too many connections; retry later."});
  } else {
    refusal = refuse_at_gate(service_, request, match);
  }
  route_ = match.route != nullptr ? match.route->path : "-";
  std::unique_ptr<Job> job;
  if (refusal) {
    feed(parser);  // a request without a body is complete
    refusal->close = refusal->close || parser.state() != RequestParser::State::kDone;
    writer.respond(*refusal);
  } else {
    if (!co_await read_body(parser)) co_return;
    request.path_arg = std::move(match.path_arg);
    job = call_handler(*match.route, request, writer);
  }
  co_await run_job(std::move(job), writer);
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
  num_tokens_ = job.num_tokens();
} catch (const std::exception& error) {
  log_error("answer failed", {{"route", route_}, {"error", std::string_view(error.what())}});
  if (writer.streaming()) {
    writer.event(proto::error_body(kOwnFault));
    writer.end_stream();
  } else if (!writer.started()) {
    writer.respond(service_.error_response(kOwnFault));
  }
}

// Sends what the writer has, and what the job adds, until the answer has ended.
Session::Awaitable<void> Session::run_job(std::unique_ptr<Job> job, ResponseWriter& writer) {
  Clock::time_point last_output = Clock::now();
  while (true) {
    if (job != nullptr && !writer.ended()) advance(*job, writer);
    if (writer.has_output()) {
      writer.take(output_);
      if (!co_await send()) co_return;
      last_output = Clock::now();
      if (writer.ended()) co_return;
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
    if (peer_closed_ || closed_) {
      close();
      co_return;
    }
  }
}

void Session::log_access(const HttpRequest& request, const ResponseWriter& writer,
                         Clock::time_point since) const {
  if (!log_enabled(LogLevel::kInfo)) return;
  const double ms = std::chrono::duration<double, std::milli>(Clock::now() - since).count();
  log_info("request", {{"id", std::string_view(request.id)},
                       {"method", std::string_view(request.method)},
                       {"route", route_},
                       {"status", std::int64_t{writer.status()}},
                       {"ms", ms},
                       {"tokens", num_tokens_}});
}

Session::Awaitable<void> Session::run(std::shared_ptr<Session> self) {
  try {
    while (co_await self->serve_one()) {
    }
  } catch (const std::exception& error) {
    log_error("connection failed", {{"error", std::string_view(error.what())}});
  }
  self->close();
}

}  // namespace quire::server
