#pragma once
// The fields of a completion request whose values are lists or objects: prompts, stop strings,
// logit biases, stream options. Each reads its own field and leaves what it found in the request,
// or an error in the reader.

#include "proto/field_reader.h"
#include "proto/openai.h"

namespace quire::proto {

void read_prompts(FieldReader& reader, const RequestLimits& limits, CompletionRequest& request);
void read_stop(FieldReader& reader, const RequestLimits& limits, CompletionRequest& request);
void read_stop_token_ids(FieldReader& reader, const RequestLimits& limits,
                         CompletionRequest& request);
void read_logit_bias(FieldReader& reader, const RequestLimits& limits, CompletionRequest& request);
void read_stream_options(FieldReader& reader, const RequestLimits& limits,
                         CompletionRequest& request);

}  // namespace quire::proto
