// parse_completion: what /v1/completions has beside the shared fields.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "proto/completion_lists.h"
#include "proto/field_table.h"
#include "proto/json_reader.h"

namespace quire::proto {
namespace {

using namespace fields;
using nlohmann::json;

constexpr Field kFields[] = {
    {"prompt", Special{read_prompts}},
    {"n", Integer{1, limit<&Limits::max_n>, [](Request& r, std::int64_t v) { r.n = narrow(v); }}},
    {"best_of",
     Integer{1, limit<&Limits::max_n>, [](Request& r, std::int64_t v) { r.best_of = narrow(v); }}},
    {"echo", Boolean{&Request::echo}},
    {"suffix", Text{&Request::suffix}},
    {"max_tokens", Integer{0, limit<&Limits::max_tokens>,
                           [](Request& r, std::int64_t v) { r.max_tokens = narrow(v); }}},
    {"logprobs", Integer{0, limit<&Limits::max_logprobs>,
                         [](Request& r, std::int64_t v) { r.sampling.num_logprobs = narrow(v); }}},
    {"add_special_tokens", Boolean{&Request::add_special_tokens}},
    {"tool_choice", Special{read_tool_choice}},
    {"tools", NotServed{}},
    {"messages", NotServed{}},
};

// Rules about two fields at once.
void check_together(FieldReader& reader, const Limits& limits, const Request& request) {
  const std::int32_t each = request.best_of.value_or(request.n);
  if (each < request.n) return reader.refuse("best_of", "must not be less than n");
  if (each > request.n && request.stream) {
    return reader.refuse("best_of", "greater than n cannot be streamed");
  }
  const auto sequences = static_cast<std::int64_t>(request.prompts.size()) * each;
  if (sequences > limits.max_sequences) {
    reader.refuse(
        request.best_of ? "best_of" : "n",
        "times the number of prompts must be at most " + std::to_string(limits.max_sequences));
  }
  if (request.max_tokens == 0 && !request.echo) {
    reader.refuse("max_tokens", "must be at least 1 unless echo is true");
  }
  if (request.max_tokens && request.sampling.min_tokens > *request.max_tokens) {
    reader.refuse("min_tokens", "must not be greater than max_tokens");
  }
}

}  // namespace

Result<CompletionRequest> parse_completion(std::string_view body, const RequestLimits& limits) {
  static const std::vector<std::string_view> kNames = names_of({kFields, shared_fields()});
  Result<json> object = read_json_object(body, kNames);
  if (!object) return object.error();
  FieldReader reader(*object);
  CompletionRequest request;
  read_fields(kFields, reader, limits, request);
  read_fields(shared_fields(), reader, limits, request);
  if (!reader.failed()) check_together(reader, limits, request);
  if (reader.failed()) return *reader.error();
  if (request.suffix && request.suffix->empty()) request.suffix.reset();
  fill_sampling(request);
  return request;
}

}  // namespace quire::proto
