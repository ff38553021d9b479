#pragma once
// Admission: can a sequence of this shape ever run here?
//
// What passes fits the pool when nothing else is in it; the scheduler's promise that the head of
// the queue never waits for ever rests on that. Immutable after construction: any thread may ask.

#include <cstdint>
#include <optional>

#include "proto/error.h"

namespace quire::scheduler {

class Admission final {
 public:
  // A pool that holds one sequence of at most `pool_tokens` tokens.
  Admission(std::int32_t max_model_len, std::int64_t pool_tokens)
      : max_model_len_(max_model_len), pool_tokens_(pool_tokens) {}

  // nullopt: it can. Else kInvalidRequest; param is "prompt" where the prompt alone is at fault.
  [[nodiscard]] std::optional<Error> check(std::int64_t num_prompt_tokens,
                                           std::int64_t max_tokens) const;

 private:
  std::int64_t max_model_len_;
  std::int64_t pool_tokens_;
};

}  // namespace quire::scheduler
