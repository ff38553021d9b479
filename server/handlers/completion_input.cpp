#include "server/handlers/completion_input.h"

#include <algorithm>

#include "server/handlers/fill_in_the_middle.h"
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
  for (proto::Prompt& prompt : request.prompts) {
    if (request.echo) input.echo_texts.push_back(echo_text(engine, request, prompt));
    std::vector<TokenId> tokens = encode(engine, request, prompt);
    if (request.suffix) {
      auto around = fill_in_the_middle(engine.tokenizer(), std::move(tokens), *request.suffix);
      if (!around) return around.error();
      tokens = std::move(*around);
    }
    if (tokens.empty()) {
      return Error{ErrorCode::kInvalidRequest, "The prompt has no tokens.", "prompt"};
    }
    const auto count = static_cast<std::int64_t>(tokens.size());
    if (auto error = check_context(engine, request, count, "prompt")) return error;
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

// What is more than the engine ever holds at once would be told to retry for ever.
std::optional<Error> check_sequences(const engine::Engine& engine,
                                     const engine::GenerationRequest& generation,
                                     const char* n_param) {
  const std::int64_t most = engine.max_in_flight();
  const auto prompts = static_cast<std::int64_t>(generation.prompts.size());
  if (prompts * generation.n <= most) return std::nullopt;
  return Error{ErrorCode::kInvalidRequest,
               "This server takes at most " + std::to_string(most) +
                   " sequences at once; prompts times choices are " +
                   std::to_string(prompts * generation.n) + ".",
               prompts > most ? "prompt" : n_param};
}

// What is told at the end is kept until then: this bounds what one answer weighs.
std::optional<Error> check_kept_logprobs(const Service& service, const CompletionInput& input) {
  if (input.stream || input.num_logprobs < 0) return std::nullopt;
  const engine::GenerationRequest& generation = input.generation;
  std::int64_t tokens = 0;
  for (const auto& prompt : generation.prompts) {
    if (input.echo) tokens += static_cast<std::int64_t>(prompt.size());
    tokens += generation.sampling.max_tokens;
  }
  const std::int64_t most = service.options().max_kept_logprobs;
  if (tokens * generation.n * (input.num_logprobs + 1) <= most) return std::nullopt;
  return Error{
      ErrorCode::kInvalidRequest,
      "The tokens of all choices times the logprobs of each must be at most " +
          std::to_string(most) + " unless the answer is streamed.",
      input.form == AnswerForm::kChat && input.num_logprobs > 0 ? "top_logprobs" : "logprobs"};
}

std::int64_t longest_prompt(const CompletionInput& input) {
  std::size_t longest = 0;
  for (const auto& prompt : input.generation.prompts) longest = std::max(longest, prompt.size());
  return static_cast<std::int64_t>(longest);
}

}  // namespace

std::optional<Error> check_context(const engine::Engine& engine,
                                   const proto::CompletionRequest& request, std::int64_t num_tokens,
                                   const char* prompt_param) {
  const std::int64_t context = engine.info().max_model_len;
  const std::int64_t wanted = request.max_tokens.value_or(request.echo ? 0 : 1);
  if (num_tokens + wanted <= context) return std::nullopt;
  return context_error(request.max_tokens ? "max_tokens" : prompt_param, num_tokens, wanted,
                       context);
}

Result<CompletionInput> finish_input(const Service& service, const engine::Engine& engine,
                                     proto::CompletionRequest& request, CompletionInput input,
                                     std::int64_t max_tokens, std::uint64_t seed) {
  input.cache_salt = request.cache_salt;
  input.num_logprobs = request.sampling.num_logprobs;
  input.echo = request.echo;
  input.stream = request.stream;
  input.include_usage = request.include_usage;
  input.continuous_usage = request.continuous_usage_stats;
  engine::GenerationRequest& generation = input.generation;
  fill_sampling(service, engine.info(), request, generation.sampling);
  SamplingParams& sampling = generation.sampling;
  const std::int64_t rest = engine.info().max_model_len - longest_prompt(input);
  sampling.max_tokens =
      request.max_tokens.value_or(static_cast<std::int32_t>(std::min(max_tokens, rest)));
  sampling.seed = request.seed.value_or(seed);
  if (sampling.min_tokens > sampling.max_tokens) {
    return Error{ErrorCode::kInvalidRequest, "min_tokens is larger than max_tokens.", "min_tokens"};
  }
  input.num_told = request.n;
  generation.n = request.best_of.value_or(request.n);
  if (auto error = check_sequences(engine, generation, request.best_of ? "best_of" : "n")) {
    return *error;
  }
  if (auto error = check_kept_logprobs(service, input)) return *error;
  // The best are chosen by the logprobs of what was generated.
  if (generation.n > request.n) sampling.num_logprobs = std::max(sampling.num_logprobs, 0);
  generation.priority = request.priority;
  generation.stop = std::move(request.stop);
  generation.include_stop_str_in_output = request.include_stop_str_in_output;
  generation.skip_special_tokens = request.skip_special_tokens;
  return input;
}

Result<CompletionInput> read_completion(const Service& service, const engine::Engine& engine,
                                        std::string_view body, std::uint64_t seed) {
  Result<proto::CompletionRequest> parsed = proto::parse_completion(body, service.request_limits());
  if (!parsed) return parsed.error();
  if (auto error = check_model(service, parsed->model)) return *error;
  CompletionInput input;
  if (auto error = encode_prompts(engine, *parsed, input)) return *error;
  return finish_input(service, engine, *parsed, std::move(input), kDefaultMaxTokens, seed);
}

}  // namespace quire::server
