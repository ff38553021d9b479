#pragma once
// From a body of /v1/completions or /v1/chat/completions to what the engine generates: parse,
// encode, defaults, limits.
//
// Pure functions over the immutable parts of service and engine; any thread. Cost: linear in the
// body.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "proto/openai.h"
#include "server/service.h"

namespace quire::server {

using proto::AnswerForm;

struct CompletionInput {
  AnswerForm form = AnswerForm::kCompletion;
  engine::GenerationRequest generation = {};  // n: as many as are generated for a prompt
  std::int32_t num_told = 1;                  // the best of them that are told; at most n
  std::vector<std::string> echo_texts = {};   // per prompt; empty without echo
  // Per prompt, only where its tokens are scored (echo with logprobs).
  std::vector<TokenId> first_tokens = {};
  std::optional<std::string> cache_salt = {};  // the client's own
  std::int64_t num_prompt_tokens = 0;          // each prompt counted once
  std::int32_t num_logprobs = -1;
  bool echo = false;
  bool stream = false;
  bool include_usage = false;
  bool continuous_usage = false;
};

// One of the two readers below. `seed` is for a request that names none.
using ReadInput = Result<CompletionInput> (*)(const Service& service, const engine::Engine& engine,
                                              std::string_view body, std::uint64_t seed);

[[nodiscard]] Result<CompletionInput> read_completion(const Service& service,
                                                      const engine::Engine& engine,
                                                      std::string_view body, std::uint64_t seed);
// chat_input.cpp
[[nodiscard]] Result<CompletionInput> read_chat(const Service& service,
                                                const engine::Engine& engine, std::string_view body,
                                                std::uint64_t seed);

// What both readers share. The room that is left, with an error that names both numbers.
[[nodiscard]] std::optional<Error> check_context(const engine::Engine& engine,
                                                 const proto::CompletionRequest& request,
                                                 std::int64_t num_tokens, const char* prompt_param);
// Everything but the prompts, which are there. `max_tokens`: where the request names none.
[[nodiscard]] Result<CompletionInput> finish_input(const Service& service,
                                                   const engine::Engine& engine,
                                                   proto::CompletionRequest& request,
                                                   CompletionInput input, std::int64_t max_tokens,
                                                   std::uint64_t seed);

}  // namespace quire::server
