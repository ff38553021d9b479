// /pages: the pool, block by block, as one answer or as a stream of changes.

#include "server/page_feed.h"

#include <charconv>
#include <optional>
#include <utility>

#include "proto/page_json.h"
#include "server/handlers/handlers.h"
#include "server/handlers/off_thread.h"

namespace quire::server {
namespace {

struct Question {
  bool stream = false;
  std::optional<std::int64_t> request = {};
  std::optional<std::int64_t> block = {};
};

std::optional<std::int64_t> parse_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

// `stream=1`, `request=N`, `block=N` or nothing.
Result<Question> parse_question(std::string_view query) {
  if (query.empty()) return Question{};
  const std::size_t equals = query.find('=');
  const std::string_view name = query.substr(0, equals);
  const auto value =
      equals == std::string_view::npos ? std::nullopt : parse_number(query.substr(equals + 1));
  if (name == "stream" && value && *value <= 1) return Question{.stream = *value == 1};
  if (name == "request" && value) return Question{.request = value};
  if (name == "block" && value) return Question{.block = value};
  return Error{ErrorCode::kInvalidRequest,
               "The query must be stream=1, request=NUMBER, block=NUMBER or nothing.", "query"};
}

// Ends when the server does: nobody waits for a stream that has no end of its own.
class StreamJob final : public Job {
 public:
  // The feed has been entered.
  explicit StreamJob(Exchange exchange)
      : service_(exchange.service),
        engine_(*service_.engine()),
        feed_(exchange.service.page_feed()),
        subscription_(engine_.pages().subscribe(exchange.waker)) {}
  ~StreamJob() override {
    subscription_.reset();
    feed_.leave();
  }
  StreamJob(const StreamJob&) = delete;
  StreamJob& operator=(const StreamJob&) = delete;

  void advance(ResponseWriter& writer, std::size_t /*max_output*/) override {
    if (!writer.started()) writer.start_stream();
    if (writer.ended()) return;  // only the header was asked for
    if (service_.phase() > Service::Phase::kServing) return writer.end_stream();
    if (writer.size() > 0 && seen_ != 0) return;  // the socket is slow: later, and then all at once
    const PageFeed::Event event = feed_.next(engine_, seen_);
    if (event.text == nullptr) return;
    writer.event(*event.text);
    seen_ = event.version;
  }
  void describe(RequestRecord& /*record*/) const override {}

 private:
  Service& service_;
  engine::Engine& engine_;
  PageFeed& feed_;
  std::unique_ptr<engine::PageWatch::Subscription> subscription_;
  std::uint64_t seen_ = 0;
};

// Waits for a snapshot that is newer than the question; the whole one is written on the work pool.
class AnswerJob final : public Job {
 public:
  AnswerJob(Exchange exchange, Question question)
      : service_(exchange.service),
        engine_(*service_.engine()),
        waker_(exchange.waker),
        lane_(work_lane(service_, exchange.request)),
        question_(question),
        seen_(engine_.pages().latest().number),
        subscription_(engine_.pages().subscribe(exchange.waker)) {}

  void advance(ResponseWriter& writer, std::size_t /*max_output*/) override {
    if (started_) {
      if (auto body = whole_.take()) writer.respond({.status = 200, .body = *std::move(body)});
      return;
    }
    const engine::PageWatch::Version newest = engine_.pages().latest();
    if (newest.number == seen_) return;
    subscription_.reset();
    if (question_.request || question_.block) return respond(writer, *newest.snapshot);
    started_ = whole_.start(service_.work(), lane_, waker_,
                            [snapshot = newest.snapshot] { return proto::pages_body(*snapshot); });
    if (!started_) {
      writer.respond(service_.error_response({ErrorCode::kOverloaded, "Too much to do; retry."}));
    }
  }
  void describe(RequestRecord& /*record*/) const override {}

 private:
  void respond(ResponseWriter& writer, const PageSnapshot& snapshot) {
    auto body = question_.block
                    ? proto::block_body(snapshot, *question_.block)
                    : proto::request_pages_body(
                          snapshot, SequenceId{static_cast<std::uint64_t>(*question_.request)});
    if (body) {
      writer.respond({.status = 200, .body = *std::move(body)});
    } else {
      writer.respond(service_.error_response({ErrorCode::kNotFound, "It is not here (any more).",
                                              question_.block ? "block" : "request"}));
    }
  }

  Service& service_;
  engine::Engine& engine_;
  engine::StreamListener& waker_;
  const std::string lane_;
  Question question_;
  std::uint64_t seen_;
  std::unique_ptr<engine::PageWatch::Subscription> subscription_;
  OffThread<std::string> whole_;
  bool started_ = false;
};

}  // namespace

std::unique_ptr<Job> handle_pages(Exchange exchange) {
  Service& service = exchange.service;
  const auto refuse = [&](const Error& error) {
    exchange.writer.respond(service.error_response(error));
    return nullptr;
  };
  if (service.engine() == nullptr) return refuse(loading_error());
  if (!service.engine()->status().alive) {
    return refuse({ErrorCode::kUnavailable, "The engine has failed."});
  }
  const auto question = parse_question(exchange.request.query);
  if (!question) return refuse(question.error());
  if (!question->stream) return std::make_unique<AnswerJob>(exchange, *question);
  if (!service.page_feed().enter()) {
    return refuse({ErrorCode::kOverloaded, "Too many watch the pages; retry later."});
  }
  return std::make_unique<StreamJob>(exchange);
}

}  // namespace quire::server
