#include "scheduler/admission.h"

#include <string>
#include <utility>

namespace quire::scheduler {
namespace {

Error invalid(const char* param, std::string message) {
  return {.code = ErrorCode::kInvalidRequest, .message = std::move(message), .param = param};
}

// Both numbers in the sentence, whichever limit was crossed. Nothing is allocated where none is:
// Scheduler::add asks too.
std::optional<Error> check_limit(std::int64_t num_prompt_tokens, std::int64_t max_tokens,
                                 std::int64_t limit, const char* limit_is) {
  const auto sentence = [&](const std::string& rest) {
    return std::string(limit_is) + " " + std::to_string(limit) + " tokens, but the prompt " + rest;
  };
  if (num_prompt_tokens > limit) {
    return invalid("prompt", sentence("alone has " + std::to_string(num_prompt_tokens) + "."));
  }
  if (max_tokens > limit - num_prompt_tokens) {
    return invalid("max_tokens",
                   sentence("has " + std::to_string(num_prompt_tokens) + " and max_tokens is " +
                            std::to_string(max_tokens) + "."));
  }
  return std::nullopt;
}

}  // namespace

std::optional<Error> Admission::check(std::int64_t num_prompt_tokens,
                                      std::int64_t max_tokens) const {
  if (num_prompt_tokens < 1) return invalid("prompt", "The prompt must have at least 1 token.");
  if (max_tokens < 0) return invalid("max_tokens", "max_tokens must be at least 0.");
  if (auto error = check_limit(num_prompt_tokens, max_tokens, max_model_len_,
                               "This model's maximum context length is")) {
    return error;
  }
  return check_limit(num_prompt_tokens, max_tokens, pool_tokens_, "The KV cache holds at most");
}

}  // namespace quire::scheduler
