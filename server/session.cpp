#include "server/session.h"

#include <algorithm>
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

// A job stops adding to its output here, until the socket took it.
constexpr std::size_t kMaxOutput = 64 * 1024;
// Thrown away while lingering; who sends more is cut off.
constexpr std::size_t kMaxLingerBytes = 8 * 1024 * 1024;

const Error kOwnFault{ErrorCode::kInternal, "The server failed to answer this request."};

}  // namespace

Session::Session(IoThread& thread, Socket socket, Welcome welcome, const PeerAddress& peer)
    : Waker(thread.wakes),
      thread_(thread),
      service_(thread.service),
      limits_(service_.options().http),
      connection_(std::make_shared<Connection>(thread.context, std::move(socket), limits_,
                                               std::span(thread.scratch))),
      peer_(peer),
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
  connection_->open(thread_.door.tls);
  asio::co_spawn(thread_.context, run(shared_from_this()), asio::detached);
}

void Session::abort() {
  connection_->close();
  connection_->wake();
}

void Session::wake() { connection_->wake(); }
void Session::woken() { connection_->wake(); }

// `until_drain`: a server that drains ends the wait, though not what has come already.
Awaitable<Session::Receive> Session::receive(Clock::time_point deadline, bool until_drain) {
  while (true) {
    if (connection_->read_some()) co_return Receive::kData;
    if (connection_->gone()) co_return Receive::kClosed;
    if (until_drain && draining()) co_return Receive::kDraining;
    if (Clock::now() >= deadline) co_return Receive::kTimeout;
    connection_->watch_for_input();
    co_await connection_->wait_until(deadline);
  }
}

void Session::feed(RequestParser& parser) { connection_->consume(parser.feed(connection_->input)); }

// False: the connection ends (the answer, if any, was sent).
Awaitable<bool> Session::read_header(RequestParser& parser) {
  const bool first = num_requests_ == 0;
  Clock::time_point deadline =
      Clock::now() + (first ? limits_.header_timeout : limits_.idle_timeout);
  bool begun = first;
  while (true) {
    if (!connection_->input.empty() && !begun) {
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
      if (!connection_->input.empty()) {
        co_await refuse_parse(408, "The request did not come in time.");
      }
      co_return false;
    }
  }
}

// False: the peer has gone. Otherwise the body is there, or the writer has an answer that refuses
// it.
Awaitable<bool> Session::read_body(RequestParser& parser, ResponseWriter& writer) {
  const Clock::time_point last = Clock::now() + limits_.body_timeout;
  if (parser.request().expects_continue && connection_->input.empty()) {
    connection_->output += "HTTP/1.1 100 Continue\r\n\r\n";
    if (!co_await connection_->send()) co_return false;
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
Awaitable<void> Session::refuse_parse(int status, std::string_view message) {
  HttpRequest nothing;
  assign_id(nothing);
  ResponseWriter writer(nothing, false);
  writer.add_field("X-Request-Id", nothing.id);
  writer.respond(refusal(status, message));
  writer.take(connection_->output);
  RequestRecord record;
  finish_record(record, nothing, writer, Clock::now());
  if (co_await connection_->send()) co_await linger();
}

// Lets the peer read the answer before the connection goes: what it still sends is thrown away.
Awaitable<void> Session::linger() {
  connection_->end_output();
  const Clock::time_point deadline = Clock::now() + limits_.linger_timeout;
  std::size_t thrown_away = 0;
  while (thrown_away < kMaxLingerBytes) {
    thrown_away += connection_->input.size();
    connection_->input.clear();
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
Awaitable<bool> Session::serve_one() {
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
  if (!writer.started() || connection_->closed()) co_return false;
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

Awaitable<void> Session::answer(RequestParser& parser, ResponseWriter& writer,
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
    connection_
        ->close();  // in the middle of a body: only a cut connection says that it is not whole
  }
}

// Sends what the writer has, and what the job adds, until the answer has ended.
Awaitable<void> Session::run_job(Job* job, ResponseWriter& writer) {
  Clock::time_point last_output = Clock::now();
  while (true) {
    if (job != nullptr && !writer.ended()) advance(*job, writer);
    if (writer.has_output()) {
      writer.take(connection_->output);
      const bool large = connection_->output.size() >= kMaxOutput;
      if (!co_await connection_->send()) co_return;
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
      connection_->watch_for_input();
      co_await connection_->wait_until(writer.streaming() ? ping_at : Clock::time_point::max());
    }
    if (!connection_->watching_input()) connection_->read_some();
    if (connection_->gone() || connection_->full()) {
      connection_->close();
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

Awaitable<void> Session::run(std::shared_ptr<Session> self) {
  try {
    const bool ready = co_await self->connection_->shake_hands();
    while (ready && co_await self->serve_one()) {
    }
  } catch (const std::exception& error) {
    log_error("connection failed", {{"error", std::string_view(error.what())}});
  }
  self->connection_->close();
}

}  // namespace quire::server
