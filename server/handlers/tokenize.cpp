// /tokenize and /detokenize: where the body is long, on the work pool.

#include <functional>

#include "server/handlers/handlers.h"
#include "server/handlers/off_thread.h"

namespace quire::server {
namespace {

using Answer = Result<std::string>;  // a body

Answer tokenize(const Service& service, const engine::Engine& engine, std::string_view body) {
  const Result<proto::TokenizeRequest> request = proto::parse_tokenize(body);
  if (!request) return request.error();
  if (auto error = check_model(service, request.value().model)) return *error;
  const engine::EncodeOptions options{.add_special_tokens = request.value().add_special_tokens,
                                      .parse_special = true};
  const std::vector<TokenId> tokens = engine.tokenizer().encode(request.value().prompt, options);
  return proto::tokenize_body(tokens, engine.info().max_model_len);
}

Answer detokenize(const Service& service, const engine::Engine& engine, std::string_view body) {
  const Result<proto::DetokenizeRequest> request =
      proto::parse_detokenize(body, service.request_limits());
  if (!request) return request.error();
  if (auto error = check_model(service, request.value().model)) return *error;
  return proto::detokenize_body(engine.tokenizer().decode(request.value().tokens, false));
}

void answer(const Service& service, const Answer& body, ResponseWriter& writer) {
  if (body) {
    writer.respond({.status = 200, .body = body.value()});
  } else {
    writer.respond(service.error_response(body.error()));
  }
}

class TextJob final : public Job {
 public:
  explicit TextJob(const Service& service) : service_(service) {}
  void advance(ResponseWriter& writer, std::size_t /*max_output*/) override {
    if (auto body = work_.take()) answer(service_, *body, writer);
  }
  void describe(RequestRecord& /*record*/) const override {}
  OffThread<Answer>& work() { return work_; }

 private:
  const Service& service_;
  OffThread<Answer> work_;
};

using Compute = Answer (*)(const Service&, const engine::Engine&, std::string_view);

std::unique_ptr<Job> run(Exchange exchange, Compute compute) {
  Service& service = exchange.service;
  const engine::Engine* engine = service.engine();
  if (engine == nullptr) {
    exchange.writer.respond(service.error_response(loading_error()));
    return nullptr;
  }
  const std::string lane = work_lane(service, exchange.request);
  HttpBody body = std::move(exchange.request.body);
  if (body.text.size() <= service.options().inline_body_bytes) {
    answer(service, compute(service, *engine, body.text), exchange.writer);
    return nullptr;
  }
  auto job = std::make_unique<TextJob>(service);
  auto kept = std::make_shared<HttpBody>(std::move(body));
  const bool started = job->work().start(
      service.work(), lane, exchange.waker,
      [&service, engine, compute, kept] { return compute(service, *engine, kept->text); });
  if (started) return job;
  exchange.writer.respond(
      service.error_response({ErrorCode::kOverloaded, "The server is busy; retry later."}));
  return nullptr;
}

}  // namespace

std::unique_ptr<Job> handle_tokenize(Exchange exchange) { return run(exchange, tokenize); }
std::unique_ptr<Job> handle_detokenize(Exchange exchange) { return run(exchange, detokenize); }

}  // namespace quire::server
