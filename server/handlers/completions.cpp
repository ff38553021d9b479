// /v1/completions and /v1/chat/completions: one job from the body to the last chunk.
//
// States: preparing (long bodies and every chat, on the work pool) -> generating -> done. The
// answer's head goes out once the engine has accepted, so a bad request gets its own status. A
// stream that began ends with each choice's finish_reason or with one error event, then [DONE].

#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "proto/answer_body.h"
#include "proto/openai_chat.h"
#include "proto/utf8.h"
#include "server/handlers/completion_input.h"
#include "server/handlers/completion_output.h"
#include "server/handlers/handlers.h"
#include "server/handlers/off_thread.h"
#include "server/handlers/request_story.h"

namespace quire::server {
namespace {

// Drawn seeds have 53 bits: clients whose JSON numbers are doubles can send them back.
constexpr int kSeedShift = 11;

constexpr std::string_view kTimeoutField = "x-request-timeout-ms";
constexpr std::int64_t kMaxTimeoutMs = 24 * 3600 * 1000;

using Prepared = Result<CompletionInput>;

std::string answer_id(AnswerForm form, std::uint64_t number) {
  char text[40];
  std::snprintf(text, sizeof text, "%s-%016llx", form == AnswerForm::kChat ? "chatcmpl" : "cmpl",
                static_cast<unsigned long long>(number));
  return text;
}

Error too_late() {
  return {ErrorCode::kUnavailable, "The request took longer than its deadline and was ended."};
}

class GenerationJob final : public Job {
 public:
  explicit GenerationJob(Exchange exchange)
      : service_(exchange.service),
        engine_(*service_.engine()),
        waker_(exchange.waker),
        tenant_(exchange.request.key_name),
        admin_(exchange.request.admin),
        lane_(work_lane(service_, exchange.request)) {
    if (service_.options().log_content) {
      logged_body_ = proto::utf8_prefix(exchange.request.body.text, kMaxLoggedContent);
    }
  }

  // The client's deadline, from now.
  void set_deadline(std::chrono::milliseconds timeout) { deadline_ = Clock::now() + timeout; }

  // False: the work pool is full.
  [[nodiscard]] bool prepare_elsewhere(HttpBody body, ReadInput read) {
    auto kept = std::make_shared<HttpBody>(std::move(body));
    const Service& service = service_;
    const engine::Engine& engine = engine_;
    preparing_ = true;
    return preparation_.start(service_.work(), lane_, waker_,
                              [&service, &engine, read, kept, deadline = deadline_,
                               seed = service_.draw() >> kSeedShift]() -> Prepared {
                                if (Clock::now() >= deadline) return too_late();
                                return read(service, engine, kept->text, seed);
                              });
  }

  // From the prepared request to an accepted one, or to an error answer.
  void begin(Prepared prepared, ResponseWriter& writer) {
    preparing_ = false;
    if (!prepared) return writer.respond(service_.error_response(prepared.error()));
    // Smaller runs first: others' requests are not for every key to overtake.
    if (prepared->generation.priority < 0 && !admin_) {
      return writer.respond(service_.error_response(
          {ErrorCode::kInvalidRequest, "A priority below 0 needs an admin key.", "priority"}));
    }
    input_ = std::move(*prepared);
    output_.emplace(input_, engine_.tokenizer());
    head_ = {.id = answer_id(input_.form, service_.draw()),
             .created = std::time(nullptr),
             .model = service_.options().model_name,
             .system_fingerprint = engine_.info().fingerprint,
             .seed = input_.generation.sampling.seed};
    auto stream = submit();
    if (!stream) return writer.respond(service_.error_response(stream.error()));
    stream_ = std::move(*stream);
    if (input_.stream) writer.start_stream();
  }

  void advance(ResponseWriter& writer, std::size_t max_output) override {
    if (preparing_) {
      auto prepared = preparation_.take();
      if (!prepared) return;
      begin(std::move(*prepared), writer);
    }
    while (!writer.ended() && writer.size() < max_output) {
      if (body_) return write_body(writer, max_output);
      if (next_delta_ == deltas_.size() && !refill()) return;
      take(deltas_[next_delta_++], writer);
    }
  }

  void describe(RequestRecord& record) const override {
    if (!output_) return;
    record.answer_id = head_.id;
    record.created = head_.created;
    record.stream = input_.stream;
    record.num_prompts = static_cast<std::int32_t>(input_.generation.prompts.size());
    record.num_choices = record.num_prompts * input_.generation.n;
    const proto::Usage usage = output_->usage();
    record.prompt_tokens = usage.prompt_tokens;
    record.output_tokens = usage.completion_tokens;
    record.cached_tokens = usage.cached_tokens;
    story_.describe(record, engine_.info().block_size);
    if (record.finish == FinishReason::kNone && stream_ != nullptr) {
      record.finish = FinishReason::kAbort;  // the client left
    }
    record.prompt = logged_body_;
    record.output = logged_output_;
  }

 private:
  using Clock = std::chrono::steady_clock;

  // The prompts go to the engine; the settings stay for the output.
  Result<std::unique_ptr<engine::TokenStream>> submit() {
    if (deadline_ != Clock::time_point::max() &&
        Clock::now() + service_.expected_wait() >= deadline_) {
      return Error{ErrorCode::kOverloaded,
                   "The wait is longer than x-request-timeout-ms allows; retry later."};
    }
    if (!take_share()) {
      return Error{ErrorCode::kOverloaded,
                   "This key has its share of the queue under way; retry later."};
    }
    engine::GenerationRequest request = input_.generation;
    request.deadline = deadline_;
    request.tenant = service_.keys().salt(tenant_, std::nullopt).low;
    request.cache_salt = service_.keys().salt(tenant_, input_.cache_salt);
    return engine_.submit(request, &waker_);
  }

  // Shares are told apart where there is more than one tenant.
  [[nodiscard]] bool take_share() {
    if (service_.keys().num_tenants() < 2) return true;
    const auto count =
        static_cast<std::int64_t>(input_.generation.prompts.size()) * input_.generation.n;
    auto share = service_.queue_shares().take(tenant_, count, engine_.max_in_flight());
    if (share) share_ = std::move(*share);
    return share.has_value();
  }

  // False: nothing has come.
  bool refill() {
    deltas_.clear();
    next_delta_ = 0;
    stream_->drain(deltas_);
    return !deltas_.empty();
  }

  void take(engine::Delta& delta, ResponseWriter& writer) {
    story_.take(delta);
    if (service_.options().log_content && logged_output_.size() < kMaxLoggedContent) {
      logged_output_ += delta.text;
      logged_output_.resize(proto::utf8_prefix(logged_output_, kMaxLoggedContent).size());
    }
    if (delta.finish == FinishReason::kAbort || delta.finish == FinishReason::kError) {
      return fail(delta.finish, writer);
    }
    if (!input_.stream) {
      output_->gather(delta);
      if (output_->all_finished()) {
        body_.emplace(input_.form, head_, output_->whole(), output_->usage(), *output_);
      }
    } else {
      write_chunks(output_->take(delta), writer);
      if (output_->all_finished()) finish_stream(writer);
    }
    if (output_->all_finished()) share_.give_back();
  }

  // A body of one piece goes out whole, a longer one piece by piece, as the socket takes it.
  void write_body(ResponseWriter& writer, std::size_t max_output) {
    const std::string_view piece = body_->next(max_output - writer.size());
    if (!writer.started() && body_->done()) {
      return writer.respond({.status = 200, .body = std::string(piece)});
    }
    if (!writer.started()) writer.start_body();
    writer.append_body(piece);
    if (body_->done()) writer.end_body();
  }

  // In chat the role goes out with the first text, and the finish_reason in a chunk of its own.
  void write_chunks(const proto::Choice& choice, ResponseWriter& writer) {
    const proto::ChunkUsage mode = input_.continuous_usage ? proto::ChunkUsage::kGiven
                                   : input_.include_usage  ? proto::ChunkUsage::kNull
                                                           : proto::ChunkUsage::kOmit;
    const proto::Usage usage = output_->usage();
    if (input_.form == AnswerForm::kCompletion) {
      return writer.event(proto::completion_chunk(head_, {&choice, 1}, mode, usage, *output_));
    }
    const auto write = [&](proto::ChatPart part) {
      writer.event(proto::chat_chunk(head_, part, choice, mode, usage, *output_));
    };
    begun_.resize(static_cast<std::size_t>(input_.generation.n), false);
    if (!begun_[static_cast<std::size_t>(choice.index)]) {
      begun_[static_cast<std::size_t>(choice.index)] = true;
      write(proto::ChatPart::kRole);
    }
    if (!choice.text.empty() || !choice.logprobs.empty()) write(proto::ChatPart::kContent);
    if (choice.finish != FinishReason::kNone) write(proto::ChatPart::kFinish);
  }

  void finish_stream(ResponseWriter& writer) {
    if (input_.include_usage) {
      const proto::Usage usage = output_->usage();
      writer.event(
          input_.form == AnswerForm::kChat
              ? proto::chat_usage_chunk(head_, usage)
              : proto::completion_chunk(head_, {}, proto::ChunkUsage::kGiven, usage, *output_));
    }
    writer.end_stream();
  }

  // One choice failed: the whole answer has. What still runs is aborted.
  void fail(FinishReason reason, ResponseWriter& writer) {
    stream_.reset();
    share_.give_back();
    Error error{ErrorCode::kInternal, "The model gave no valid result for this request."};
    if (service_.phase() == Service::Phase::kFailed || !engine_.status().alive) {
      error = {ErrorCode::kInternal, "The engine has failed."};
    }
    if (reason == FinishReason::kAbort) {
      error = service_.aborting() ? Error{ErrorCode::kUnavailable, "The server is shutting down."}
                                  : too_late();
    }
    if (!input_.stream) return writer.respond(service_.error_response(error));
    writer.event(proto::error_body(error));
    writer.end_stream();
  }

  Service& service_;
  engine::Engine& engine_;
  engine::StreamListener& waker_;
  const std::string tenant_;
  const bool admin_;
  const std::string lane_;
  Clock::time_point deadline_ = Clock::time_point::max();
  RequestStory story_;
  std::string logged_body_, logged_output_;  // with --log-content alone
  bool preparing_ = false;
  OffThread<Prepared> preparation_;
  CompletionInput input_;
  proto::ResponseHead head_;
  std::optional<CompletionOutput> output_;
  std::optional<proto::AnswerBody> body_;  // once all is there that an unstreamed answer tells
  QueueShares::Share share_;
  std::unique_ptr<engine::TokenStream> stream_;
  std::vector<engine::Delta> deltas_;  // drained, not yet written
  std::size_t next_delta_ = 0;
  std::vector<bool> begun_;  // of chat: by choice, whether its role was told
};

// x-request-timeout-ms; nothing where it is not given.
Result<std::optional<std::chrono::milliseconds>> read_timeout(const HttpRequest& request) {
  const std::string_view text = request.field(kTimeoutField);
  if (text.empty()) return std::optional<std::chrono::milliseconds>();
  std::int64_t ms = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (ec != std::errc{} || end != text.data() + text.size() || ms < 1 || ms > kMaxTimeoutMs) {
    return Error{ErrorCode::kInvalidRequest,
                 "must be a whole number of milliseconds from 1 to 86400000.",
                 std::string(kTimeoutField)};
  }
  return std::optional(std::chrono::milliseconds(ms));
}

std::unique_ptr<Job> start(Exchange exchange, ReadInput read, std::size_t inline_bytes) {
  Service& service = exchange.service;
  if (service.engine() == nullptr) {
    exchange.writer.respond(service.error_response(loading_error()));
    return nullptr;
  }
  const auto timeout = read_timeout(exchange.request);
  if (!timeout) {
    exchange.writer.respond(service.error_response(timeout.error()));
    return nullptr;
  }
  auto job = std::make_unique<GenerationJob>(exchange);
  if (*timeout) job->set_deadline(**timeout);
  HttpBody body = std::move(exchange.request.body);
  if (body.text.size() <= inline_bytes) {
    Prepared prepared = read(service, *service.engine(), body.text, service.draw() >> kSeedShift);
    body = {};
    job->begin(std::move(prepared), exchange.writer);
  } else if (!job->prepare_elsewhere(std::move(body), read)) {
    exchange.writer.respond(
        service.error_response({ErrorCode::kOverloaded, "The server is busy; retry later."}));
  }
  return job;
}

}  // namespace

std::unique_ptr<Job> handle_completions(Exchange exchange) {
  return start(exchange, read_completion, exchange.service.options().inline_body_bytes);
}

// A template's running time is bounded, but not by the length of the body alone.
std::unique_ptr<Job> handle_chat(Exchange exchange) { return start(exchange, read_chat, 0); }

}  // namespace quire::server
