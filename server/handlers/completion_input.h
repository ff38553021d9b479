#pragma once
// From a body of /v1/completions to what the engine generates: parse, encode, defaults, limits.
//
// A pure function over the immutable parts of service and engine; any thread. Cost: linear in the
// body.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "proto/openai.h"
#include "server/service.h"

namespace quire::server {

struct CompletionInput {
  engine::GenerationRequest generation = {};
  std::vector<std::string> echo_texts = {};  // per prompt; empty without echo
  // Per prompt, only where its tokens are scored (echo with logprobs).
  std::vector<TokenId> first_tokens = {};
  std::int64_t num_prompt_tokens = 0;  // each prompt counted once
  std::int32_t num_logprobs = -1;
  bool echo = false;
  bool stream = false;
  bool include_usage = false;
  bool continuous_usage = false;
};

[[nodiscard]] Result<CompletionInput> read_completion(const Service& service,
                                                      const engine::Engine& engine,
                                                      std::string_view body, std::uint64_t seed);

}  // namespace quire::server
