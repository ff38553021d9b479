#pragma once
// A request on its way in: from a GenerationRequest to sequences and a stream. On the caller's
// thread, so that the engine thread neither copies prompts nor allocates for them.

#include <optional>

#include "engine/engine_loop.h"

namespace quire::engine {

// Why the request can never run: a token that the model lacks, or more than the pool can hold.
// Invariant: there is a prompt, and none is empty.
[[nodiscard]] std::optional<Error> check_request(const EngineLoop& loop,
                                                 const GenerationRequest& request);

// The request's sequences, prompt by prompt and choice by choice, and their stream, with room for
// all that will be put in. Invariant: check_request() found nothing.
[[nodiscard]] Submission make_submission(EngineLoop& loop, const GenerationRequest& request,
                                         StreamListener* listener);

}  // namespace quire::engine
