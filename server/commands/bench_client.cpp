#include "server/commands/bench_client.h"

#include <algorithm>
#include <array>
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

namespace quire::server {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using net::ip::tcp;
using Clock = std::chrono::steady_clock;
using ErrorCodeAsio = boost::system::error_code;

constexpr std::chrono::milliseconds kReportEvery{200};
constexpr std::size_t kReadBytes = 16384;
constexpr std::size_t kRecent = 64;  // requests that the progress looks back on
constexpr std::size_t kMaxPlainBody = std::size_t{64} << 20;  // of an answer that is no stream
constexpr std::size_t kMaxErrorText = 4096;                   // of an answer that says no

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string reason_of(const ErrorCodeAsio& error) {
  if (error == beast::error::timeout) return "no answer within the time limit";
  if (error == net::error::eof || error == http::error::end_of_stream ||
      error == http::error::partial_message || error == net::error::connection_reset ||
      error == net::error::broken_pipe) {
    return "connection closed before the answer ended";
  }
  return error.message();
}

std::string request_text(const BenchOptions& options, std::string_view path,
                         std::string_view body) {
  std::string text(body.empty() ? "GET " : "POST ");
  text.append(options.url.prefix).append(path).append(" HTTP/1.1\r\nHost: ");
  text.append(options.url.authority).append("\r\nUser-Agent: quire-bench\r\n");
  if (!options.api_key.empty()) {
    text.append("Authorization: Bearer ").append(options.api_key).append("\r\n");
  }
  if (!body.empty()) {
    text.append("Content-Type: application/json\r\nContent-Length: ");
    text.append(std::to_string(body.size())).append("\r\n");
  }
  return text.append("\r\n").append(body);
}

// A connection that is opened when it is needed.
struct Connection {
  std::optional<beast::tcp_stream> stream;
  beast::flat_buffer buffer{65536};
  bool reused = false;  // it has carried an answer before
};

// One answer under way.
struct Answer {
  unsigned status = 0;
  bool is_stream = false;
  std::string other_body;  // where it is no stream, or says no
  StreamCheck check;
  std::string failure;               // of the transport
  bool begun = false;                // some of it arrived
  LoadProgress* progress = nullptr;  // is told of texts as they arrive
};

using Parser = http::response_parser<http::buffer_body>;

void take_header(const Parser& parser, Answer& answer) {
  answer.status = parser.get().result_int();
  const std::string_view type = parser.get()[http::field::content_type];
  answer.is_stream = answer.status == 200 && type.starts_with("text/event-stream");
}

void tell_texts(std::size_t before, std::size_t after, LoadProgress& progress) {
  progress.texts += after - before;
  if (before > 0 || after == 0) return;
  --progress.waiting;
  ++progress.running;
}

void take_bytes(std::string_view bytes, double now, std::size_t max_plain, Answer& answer) {
  if (answer.is_stream) {
    const std::size_t texts = answer.check.texts();
    answer.check.feed(bytes, now);
    if (answer.progress != nullptr) tell_texts(texts, answer.check.texts(), *answer.progress);
    return;
  }
  const std::size_t room = max_plain - std::min(max_plain, answer.other_body.size());
  answer.other_body += bytes.substr(0, room);
}

net::awaitable<ErrorCodeAsio> connect(Connection& connection,
                                      const tcp::resolver::results_type& endpoints,
                                      std::chrono::seconds timeout) {
  ErrorCodeAsio error;
  connection.stream.emplace(co_await net::this_coro::executor);
  connection.buffer.clear();
  connection.reused = false;
  connection.stream->expires_after(timeout);
  co_await connection.stream->async_connect(endpoints,
                                            net::redirect_error(net::use_awaitable, error));
  if (!error) {
    connection.stream->socket().set_option(tcp::no_delay(true), error);
  }
  co_return error;
}

net::awaitable<ErrorCodeAsio> read_body(Connection& connection, Parser& parser,
                                        Clock::time_point start, std::size_t max_plain,
                                        Answer& answer) {
  std::array<char, kReadBytes> bytes;
  ErrorCodeAsio error;
  while (!parser.is_done()) {
    parser.get().body().data = bytes.data();
    parser.get().body().size = bytes.size();
    parser.get().body().more = true;
    co_await http::async_read_some(*connection.stream, connection.buffer, parser,
                                   net::redirect_error(net::use_awaitable, error));
    const std::size_t read = bytes.size() - parser.get().body().size;
    take_bytes({bytes.data(), read}, seconds_since(start), max_plain, answer);
    if (error && error != http::error::need_buffer) co_return error;
  }
  co_return ErrorCodeAsio{};
}

// Sends one request on an open connection and reads its answer.
net::awaitable<ErrorCodeAsio> converse(Connection& connection, const std::string& request,
                                       Clock::time_point start, std::size_t max_plain,
                                       Answer& answer) {
  ErrorCodeAsio error;
  co_await net::async_write(*connection.stream, net::buffer(request),
                            net::redirect_error(net::use_awaitable, error));
  if (error) co_return error;
  Parser parser;
  parser.body_limit(boost::none);
  co_await http::async_read_header(*connection.stream, connection.buffer, parser,
                                   net::redirect_error(net::use_awaitable, error));
  answer.begun = parser.got_some();
  if (error) co_return error;
  take_header(parser, answer);
  error = co_await read_body(connection, parser, start, max_plain, answer);
  if (error || !parser.keep_alive()) connection.stream.reset();
  connection.reused = true;
  co_return error;
}

// One request with its answer; a kept connection that the server has closed meanwhile is replaced.
net::awaitable<Answer> ask(Connection& connection, const tcp::resolver::results_type& endpoints,
                           std::chrono::seconds timeout, const std::string& request,
                           Clock::time_point start, std::size_t max_plain, LoadProgress* progress) {
  for (;;) {
    Answer answer;
    answer.progress = progress;
    ErrorCodeAsio error;
    const bool kept = connection.stream.has_value() && connection.reused;
    if (!connection.stream) error = co_await connect(connection, endpoints, timeout);
    if (!error) {
      connection.stream->expires_after(timeout);
      error = co_await converse(connection, request, start, max_plain, answer);
    }
    if (!error) co_return answer;
    connection.stream.reset();
    if (kept && !answer.begun && error != beast::error::timeout) continue;
    answer.failure = reason_of(error);
    co_return answer;
  }
}

BenchResult result_of(Answer answer, double now) {
  if (answer.is_stream && answer.failure.empty()) return answer.check.finish(now);
  BenchResult result;
  result.end = now;
  result.failure = answer.failure;
  if (!result.failure.empty()) return result;
  result.failure = answer.status == 200 ? "the answer is no event stream"
                                        : "HTTP status " + std::to_string(answer.status);
  const std::string message = error_message_of(answer.other_body);
  if (!message.empty()) result.failure += ": " + message;
  return result;
}

void rethrow(const std::exception_ptr& exception) {
  if (exception) std::rethrow_exception(exception);
}

class Load final {
 public:
  Load(const BenchOptions& options, std::span<const Call> calls,
       const std::function<void(const LoadProgress&)>& report)
      : options_(options),
        path_(options.chat ? "/v1/chat/completions" : "/v1/completions"),
        calls_(calls),
        report_(report),
        timeout_(options.timeout_seconds) {
    result_.requests.resize(calls.size());
  }

  LoadResult run() {
    endpoints_ = tcp::resolver(context_).resolve(options_.url.host, options_.url.port);
    start_ = Clock::now();
    if (options_.open_loop()) {
      net::co_spawn(context_, dispatch(), rethrow);
    } else {
      const std::size_t workers =
          std::min(calls_.size(), static_cast<std::size_t>(options_.concurrency));
      for (std::size_t i = 0; i < workers; ++i) net::co_spawn(context_, work(), rethrow);
    }
    net::co_spawn(context_, tell(), rethrow);
    context_.run();
    return std::move(result_);
  }

 private:
  net::awaitable<void> work() {
    Connection connection;
    while (next_ < calls_.size()) {
      const std::size_t index = next_++;
      co_await one(index, connection, Clock::now());
    }
  }

  // Open loop: every call at its time. A timer that is behind does not wait, so that the calls that
  // became due meanwhile follow at once.
  net::awaitable<void> dispatch() {
    net::steady_timer timer(context_);
    for (std::size_t index = 0; index < calls_.size(); ++index) {
      const auto due = start_ + std::chrono::duration_cast<Clock::duration>(
                                    std::chrono::duration<double>(calls_[index].at));
      if (due > Clock::now()) {
        timer.expires_at(due);
        co_await timer.async_wait(net::use_awaitable);
      }
      net::co_spawn(context_, alone(index, due), rethrow);
    }
  }

  net::awaitable<void> alone(std::size_t index, Clock::time_point due) {
    std::unique_ptr<Connection> connection;
    if (idle_.empty()) {
      connection = std::make_unique<Connection>();
    } else {  // the one used last: the server is least likely to have closed it
      connection = std::move(idle_.back());
      idle_.pop_back();
    }
    co_await one(index, *connection, due);
    if (connection->stream) idle_.push_back(std::move(connection));
  }

  net::awaitable<void> one(std::size_t index, Connection& connection, Clock::time_point due) {
    ++progress_.waiting;
    const std::string request = request_text(options_, path_, calls_[index].body);
    const double lag = seconds_since(due);
    Answer answer =
        co_await ask(connection, endpoints_, timeout_, request, due, kMaxErrorText, &progress_);
    --(answer.check.has_text() ? progress_.running : progress_.waiting);
    BenchResult result = result_of(std::move(answer), seconds_since(due));
    result.start = std::chrono::duration<double>(due - start_).count();
    result.lag = lag;
    record(index, std::move(result));
  }

  void record(std::size_t index, BenchResult result) {
    ++progress_.done;
    if (!result.ok()) ++progress_.failed;
    if (result.ok()) recent_[progress_.done % kRecent] = result.first_text;
    result_.requests[index] = std::move(result);
    if (progress_.done < calls_.size()) return;
    result_.seconds = seconds_since(start_);
    idle_.clear();
    reporter_.cancel();
  }

  double recent_ttft() const {
    std::vector<double> known;
    for (const double ttft : recent_) {
      if (ttft > 0) known.push_back(ttft);
    }
    if (known.empty()) return 0;
    const auto middle = known.begin() + static_cast<std::ptrdiff_t>(known.size() / 2);
    std::ranges::nth_element(known, middle);
    return *middle;
  }

  net::awaitable<void> tell() {
    while (progress_.done < calls_.size()) {
      progress_.seconds = seconds_since(start_);
      progress_.recent_ttft = recent_ttft();
      report_(progress_);
      ErrorCodeAsio cancelled;  // by the last answer
      reporter_.expires_after(kReportEvery);
      co_await reporter_.async_wait(net::redirect_error(net::use_awaitable, cancelled));
    }
    progress_.seconds = result_.seconds;
    report_(progress_);
  }

  const BenchOptions& options_;
  std::string_view path_;
  std::span<const Call> calls_;
  const std::function<void(const LoadProgress&)>& report_;
  std::chrono::seconds timeout_;
  net::io_context context_{1};
  net::steady_timer reporter_{context_};
  tcp::resolver::results_type endpoints_;
  Clock::time_point start_;
  std::size_t next_ = 0;
  std::vector<std::unique_ptr<Connection>> idle_;  // open loop: connections to be used again
  std::array<double, kRecent> recent_{};
  LoadProgress progress_;
  LoadResult result_;
};

net::awaitable<void> ask_once(Connection& connection, const tcp::resolver::results_type& endpoints,
                              std::chrono::seconds timeout, const std::string& request,
                              Answer& answer) {
  answer =
      co_await ask(connection, endpoints, timeout, request, Clock::now(), kMaxPlainBody, nullptr);
}

}  // namespace

Result<HttpAnswer> exchange(const BenchOptions& options, std::string_view path,
                            std::string_view body) {
  net::io_context context{1};
  ErrorCodeAsio error;
  const auto endpoints = tcp::resolver(context).resolve(options.url.host, options.url.port, error);
  if (error) return Error{ErrorCode::kUnavailable, error.message()};
  Connection connection;
  Answer answer;
  const std::string request = request_text(options, path, body);
  net::co_spawn(context,
                ask_once(connection, endpoints, std::chrono::seconds(options.timeout_seconds),
                         request, answer),
                rethrow);
  context.run();
  if (!answer.failure.empty()) return Error{ErrorCode::kUnavailable, answer.failure};
  return HttpAnswer{answer.status, std::move(answer.other_body)};
}

LoadResult run_load(const BenchOptions& options, std::span<const Call> calls,
                    const std::function<void(const LoadProgress&)>& report) {
  return Load(options, calls, report).run();
}

}  // namespace quire::server
