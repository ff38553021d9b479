#include "server/handlers/completion_input.h"

#include <algorithm>

#include "server/handlers/handlers.h"

namespace quire::server {
namespace {

constexpr std::int64_t kDefaultMaxTokens = 16;

Error context_error(const char* param, std::int64_t prompt, std::int64_t wanted,
                    std::int64_t context) {
  return {ErrorCode::kInvalidRequest,
          "The context is " + std::to_string(context) + " tokens; the prompt has " +
              std::to_string(prompt) + " and " + std::to_string(wanted) + " more were asked for.",
          param};
}

std::vector<TokenId> encode(const engine::Engine& engine, const proto::CompletionRequest& request,
                            proto::Prompt& prompt) {
  if (auto* tokens = std::get_if<std::vector<TokenId>>(&prompt)) return std::move(*tokens);
  return engine.tokenizer().encode(
      std::get<std::string>(prompt),
      {.add_special_tokens = request.add_special_tokens, .parse_special = true});
}

std::string echo_text(const engine::Engine& engine, const proto::CompletionRequest& request,
                      const proto::Prompt& prompt) {
  if (const auto* text = std::get_if<std::string>(&prompt)) return *text;
  return engine.tokenizer().decode(std::get<std::vector<TokenId>>(prompt),
                                   request.skip_special_tokens);
}

std::optional<Error> encode_prompts(const engine::Engine& engine, proto::CompletionRequest& request,
                                    CompletionInput& input) {
  const std::int64_t context = engine.info().max_model_len;
  const std::int64_t wanted = request.max_tokens.value_or(request.echo ? 0 : 1);
  for (proto::Prompt& prompt : request.prompts) {
    if (request.echo) input.echo_texts.push_back(echo_text(engine, request, prompt));
    std::vector<TokenId> tokens = encode(engine, request, prompt);
    if (tokens.empty()) {
      return Error{ErrorCode::kInvalidRequest, "The prompt has no tokens.", "prompt"};
    }
    const auto count = static_cast<std::int64_t>(tokens.size());
    if (count + wanted > context) {
      return context_error(request.max_tokens ? "max_tokens" : "prompt", count, wanted, context);
    }
    input.num_prompt_tokens += count;
    if (request.sampling.prompt_logprobs) input.first_tokens.push_back(tokens.front());
    input.generation.prompts.push_back(std::move(tokens));
  }
  return std::nullopt;
}

// The request's own, else the model's generation_config.json, else OpenAI's.
void fill_sampling(const Service& service, const engine::ModelInfo& model,
                   const proto::CompletionRequest& request, SamplingParams& sampling) {
  sampling = request.sampling;
  if (!service.options().use_generation_config) return;
  sampling.temperature = request.temperature.value_or(model.temperature.value_or(1.0f));
  sampling.top_p = request.top_p.value_or(model.top_p.value_or(1.0f));
  sampling.top_k = request.top_k.value_or(model.top_k.value_or(0));
  sampling.min_p = request.min_p.value_or(model.min_p.value_or(0.0f));
  sampling.repetition_penalty =
      request.repetition_penalty.value_or(model.repetition_penalty.value_or(1.0f));
}

std::int32_t default_max_tokens(const engine::Engine& engine, const CompletionInput& input) {
  std::size_t longest = 0;
  for (const auto& prompt : input.generation.prompts) longest = std::max(longest, prompt.size());
  const std::int64_t rest = engine.info().max_model_len - static_cast<std::int64_t>(longest);
  return static_cast<std::int32_t>(std::min(kDefaultMaxTokens, rest));
}

}  // namespace

Result<CompletionInput> read_completion(const Service& service, const engine::Engine& engine,
                                        std::string_view body, std::uint64_t seed) {
  Result<proto::CompletionRequest> parsed = proto::parse_completion(body, service.request_limits());
  if (!parsed) return parsed.error();
  proto::CompletionRequest& request = *parsed;
  if (auto error = check_model(service, request.model)) return *error;

  CompletionInput input{.num_logprobs = request.sampling.num_logprobs,
                        .echo = request.echo,
                        .stream = request.stream,
                        .include_usage = request.include_usage,
                        .continuous_usage = request.continuous_usage_stats};
  if (auto error = encode_prompts(engine, request, input)) return *error;
  engine::GenerationRequest& generation = input.generation;
  fill_sampling(service, engine.info(), request, generation.sampling);
  SamplingParams& sampling = generation.sampling;
  sampling.max_tokens = request.max_tokens.value_or(default_max_tokens(engine, input));
  sampling.seed = request.seed.value_or(seed);
  if (sampling.min_tokens > sampling.max_tokens) {
    return Error{ErrorCode::kInvalidRequest, "min_tokens is larger than max_tokens.", "min_tokens"};
  }
  generation.n = request.n;
  generation.priority = request.priority;
  generation.stop = std::move(request.stop);
  generation.include_stop_str_in_output = request.include_stop_str_in_output;
  generation.skip_special_tokens = request.skip_special_tokens;
  return input;
}

}  // namespace quire::server
