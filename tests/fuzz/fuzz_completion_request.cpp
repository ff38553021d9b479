// Any bytes as the body of /v1/completions, /tokenize and /detokenize: the parser answers with a
// request whose values keep their ranges, or with an error that fits the wire.

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "proto/openai.h"

namespace {

using namespace quire;
using namespace quire::proto;

const RequestLimits kLimits{.vocab_size = 512, .max_prompts = 16, .max_sequences = 32};

void check_ids(const std::vector<TokenId>& ids) {
  for (const TokenId id : ids) CHECK(id >= 0 && id < kLimits.vocab_size);
}

void check_sampling(const CompletionRequest& request) {
  const SamplingParams& sampling = request.sampling;
  CHECK(sampling.temperature >= 0.0f && sampling.temperature <= 2.0f);
  CHECK(sampling.top_p > 0.0f && sampling.top_p <= 1.0f);
  CHECK(sampling.min_p >= 0.0f && sampling.min_p <= 1.0f);
  CHECK(sampling.top_k >= 0);
  CHECK(sampling.repetition_penalty > 0.0f && std::isfinite(sampling.repetition_penalty));
  CHECK(std::abs(sampling.presence_penalty) <= 2.0f);
  CHECK(std::abs(sampling.frequency_penalty) <= 2.0f);
  CHECK(sampling.max_tokens >= (request.echo ? 0 : 1));
  CHECK(sampling.min_tokens >= 0);
  CHECK(sampling.num_logprobs >= -1 && sampling.num_logprobs <= kLimits.max_logprobs);
  CHECK(sampling.logit_bias.size() <= kLimits.max_logit_bias);
  for (const auto& [id, bias] : sampling.logit_bias) {
    CHECK(id >= 0 && id < kLimits.vocab_size && std::abs(bias) <= 100.0f);
  }
  check_ids(sampling.stop_token_ids);
}

void check_request(const CompletionRequest& request) {
  CHECK(!request.prompts.empty());
  CHECK(request.n >= 1 && request.n <= kLimits.max_n);
  CHECK(request.prompts.size() * static_cast<std::size_t>(request.n) <=
        static_cast<std::size_t>(kLimits.max_sequences));
  for (const Prompt& prompt : request.prompts) {
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&prompt)) {
      CHECK(!ids->empty());
      check_ids(*ids);
    } else {
      CHECK(!std::get<std::string>(prompt).empty());
    }
  }
  CHECK(request.stop.size() <= kLimits.max_stops);
  for (const std::string& stop : request.stop) {
    CHECK(!stop.empty() && stop.size() <= kLimits.max_stop_bytes);
  }
  check_sampling(request);
}

void check_error(const Error& error) {
  CHECK(http_status(error.code) == 400);
  CHECK(error.message.size() <= 512);
  const std::string body = error_body(error);
  CHECK(body.size() <= kMaxErrorBody);
  CHECK(nlohmann::json::parse(body).at("error").size() == 4);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const auto completion = parse_completion(body, kLimits);
  if (completion.ok()) {
    check_request(*completion);
  } else {
    check_error(completion.error());
  }
  const auto tokenize = parse_tokenize(body);
  if (!tokenize.ok()) check_error(tokenize.error());
  const auto detokenize = parse_detokenize(body, kLimits);
  if (detokenize.ok()) {
    check_ids(detokenize->tokens);
  } else {
    check_error(detokenize.error());
  }
  // What the writer makes of any bytes is JSON on one line.
  const std::string echoed = detokenize_body(body);
  CHECK(nlohmann::json::accept(echoed) && echoed.find('\n') == std::string::npos);
  return 0;
}
