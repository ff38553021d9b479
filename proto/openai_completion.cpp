// parse_completion: one table says what each field of /v1/completions may be.

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <variant>

#include "proto/completion_lists.h"
#include "proto/field_reader.h"
#include "proto/json_reader.h"
#include "proto/openai.h"

namespace quire::proto {
namespace {

using nlohmann::json;
using Request = CompletionRequest;
using Limits = RequestLimits;

// Below this the distribution is a spike and its logits may overflow: greedy, as in vLLM.
constexpr float kGreedyBelow = 1e-5f;
constexpr std::size_t kMaxSaltBytes = 256;

// How a field is read: one type per kind of value.
struct Integer {
  std::int64_t min;
  std::int64_t (*max)(const Limits&);
  void (*store)(Request&, std::int64_t);
};
struct Number {
  NumberRange range;
  void (*store)(Request&, float);
};
struct Boolean {
  bool Request::*target;
};
struct Text {
  std::optional<std::string> Request::*target;
};
// Lists and objects, and rules of their own.
struct Special {
  void (*read)(FieldReader&, const Limits&, Request&);
};
// Known and not served: refused unless the value asks for nothing.
struct NotServed {};

struct Field {
  std::string_view name;
  std::variant<Integer, Number, Boolean, Text, Special, NotServed> rule;
};

template <auto kValue>
std::int64_t up_to(const Limits&) {
  return std::int64_t{kValue};
}
template <auto kMember>
std::int64_t limit(const Limits& limits) {
  return std::int64_t{limits.*kMember};
}

// The table bounds every integer within int32 before this is called.
std::int32_t narrow(std::int64_t value) { return static_cast<std::int32_t>(value); }

bool asks_for_nothing(const json& value) {
  if (value.is_boolean()) return !value.get<bool>();
  return (value.is_string() && value.get_ref<const std::string&>().empty()) ||
         (value.is_structured() && value.empty());
}

void read_not_served(FieldReader& reader, std::string_view name) {
  const json* value = reader.find(name);
  if (value != nullptr && !asks_for_nothing(*value)) reader.unsupported(name);
}

// Reads after n: a best_of equal to it asks for nothing more.
void read_best_of(FieldReader& reader, const Limits& limits, Request& request) {
  const std::optional<std::int64_t> best_of = reader.integer("best_of", {1, limits.max_n});
  if (best_of && *best_of != request.n) reader.unsupported("best_of");
}

void read_suffix(FieldReader& reader, const Limits& /*limits*/, Request& /*request*/) {
  const std::optional<std::string> suffix = reader.text("suffix");
  if (suffix && !suffix->empty()) reader.unsupported("suffix");
}

// Taken for the client's records; nothing of it reaches the model.
void read_user(FieldReader& reader, const Limits& /*limits*/, Request& /*request*/) {
  (void)reader.text("user");
}

void read_cache_salt(FieldReader& reader, const Limits& /*limits*/, Request& request) {
  request.cache_salt = reader.text("cache_salt");
  if (!request.cache_salt) return;
  if (request.cache_salt->empty() || request.cache_salt->size() > kMaxSaltBytes) {
    reader.refuse("cache_salt",
                  "must be a string of 1 to " + std::to_string(kMaxSaltBytes) + " bytes");
  }
}

void read_response_format(FieldReader& reader, const Limits& /*limits*/, Request& /*request*/) {
  const json* value = reader.find("response_format");
  if (value == nullptr) return;
  if (!value->is_object()) return reader.refuse("response_format", "must be an object");
  const auto type = value->find("type");
  if (type == value->end() || !type->is_string()) {
    return reader.refuse("response_format", "must have a type, which is a string");
  }
  if (*type != "text") reader.unsupported("response_format");
}

void read_tool_choice(FieldReader& reader, const Limits& /*limits*/, Request& /*request*/) {
  const json* value = reader.find("tool_choice");
  if (value != nullptr && *value != "none") reader.unsupported("tool_choice");
}

constexpr std::int32_t kInt32Min = std::numeric_limits<std::int32_t>::min();
constexpr std::int32_t kInt32Max = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kInt64Min = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();

// Read from the top: where one field's rule looks at another, that one stands above it.
constexpr Field kFields[] = {
    {"model", Text{&Request::model}},
    {"prompt", Special{read_prompts}},
    {"n", Integer{1, limit<&Limits::max_n>, [](Request& r, std::int64_t v) { r.n = narrow(v); }}},
    {"best_of", Special{read_best_of}},
    {"echo", Boolean{&Request::echo}},
    {"stream", Boolean{&Request::stream}},
    {"stream_options", Special{read_stream_options}},
    {"max_tokens", Integer{0, limit<&Limits::max_tokens>,
                           [](Request& r, std::int64_t v) { r.max_tokens = narrow(v); }}},
    {"min_tokens", Integer{0, limit<&Limits::max_tokens>,
                           [](Request& r, std::int64_t v) { r.sampling.min_tokens = narrow(v); }}},
    {"temperature",
     Number{{0.0, 2.0}, [](Request& r, float v) { r.temperature = v < kGreedyBelow ? 0.0f : v; }}},
    {"top_p", Number{{0.0, 1.0, true}, [](Request& r, float v) { r.top_p = v; }}},
    {"top_k", Integer{-1, up_to<kInt32Max>,  // beyond the vocabulary: all of it, as in vLLM
                      [](Request& r, std::int64_t v) { r.top_k = narrow(std::max(v, {})); }}},
    {"min_p", Number{{0.0, 1.0}, [](Request& r, float v) { r.min_p = v; }}},
    {"repetition_penalty",
     Number{{0.0, 10.0, true}, [](Request& r, float v) { r.repetition_penalty = v; }}},
    {"presence_penalty",
     Number{{-2.0, 2.0}, [](Request& r, float v) { r.sampling.presence_penalty = v; }}},
    {"frequency_penalty",
     Number{{-2.0, 2.0}, [](Request& r, float v) { r.sampling.frequency_penalty = v; }}},
    {"logit_bias", Special{read_logit_bias}},
    {"seed", Integer{kInt64Min, up_to<kInt64Max>,
                     [](Request& r, std::int64_t v) { r.seed = static_cast<std::uint64_t>(v); }}},
    {"logprobs", Integer{0, limit<&Limits::max_logprobs>,
                         [](Request& r, std::int64_t v) { r.sampling.num_logprobs = narrow(v); }}},
    {"stop", Special{read_stop}},
    {"stop_token_ids", Special{read_stop_token_ids}},
    {"include_stop_str_in_output", Boolean{&Request::include_stop_str_in_output}},
    {"skip_special_tokens", Boolean{&Request::skip_special_tokens}},
    {"add_special_tokens", Boolean{&Request::add_special_tokens}},
    {"ignore_eos", Special{[](FieldReader& reader, const Limits&, Request& r) {
       r.sampling.ignore_eos = reader.boolean("ignore_eos").value_or(false);
     }}},
    {"priority", Integer{kInt32Min, up_to<kInt32Max>,
                         [](Request& r, std::int64_t v) { r.priority = narrow(v); }}},
    {"cache_salt", Special{read_cache_salt}},
    {"user", Special{read_user}},
    {"suffix", Special{read_suffix}},
    {"response_format", Special{read_response_format}},
    {"tool_choice", Special{read_tool_choice}},
    // Fields of OpenAI and of other servers that change the output.
    {"tools", NotServed{}},
    {"functions", NotServed{}},
    {"function_call", NotServed{}},
    {"messages", NotServed{}},
    {"prompt_embeds", NotServed{}},
    {"prompt_logprobs", NotServed{}},
    {"use_beam_search", NotServed{}},
    {"truncate_prompt_tokens", NotServed{}},
    {"allowed_token_ids", NotServed{}},
    {"bad_words", NotServed{}},
    {"logits_processors", NotServed{}},
    {"return_token_ids", NotServed{}},
    {"return_tokens_as_token_ids", NotServed{}},
    {"structured_outputs", NotServed{}},
    {"guided_json", NotServed{}},
    {"guided_regex", NotServed{}},
    {"guided_choice", NotServed{}},
    {"guided_grammar", NotServed{}},
    {"guided_decoding_backend", NotServed{}},
    {"guided_whitespace_pattern", NotServed{}},
    {"json_schema", NotServed{}},
    {"regex", NotServed{}},
    {"ebnf", NotServed{}},
    {"grammar", NotServed{}},
    {"lora", NotServed{}},
    {"lora_name", NotServed{}},
    {"lora_path", NotServed{}},
    {"lora_request", NotServed{}},
    {"adapter_id", NotServed{}},
};

constexpr auto kNames = [] {
  std::array<std::string_view, std::size(kFields)> names;
  std::ranges::transform(kFields, names.begin(), &Field::name);
  return names;
}();

// Reads one field as its rule says.
class FieldVisitor final {
 public:
  FieldVisitor(FieldReader& reader, const Limits& limits, Request& request)
      : reader_(reader), limits_(limits), request_(request) {}

  void read(const Field& field) {
    name_ = field.name;
    std::visit(*this, field.rule);
  }

  void operator()(const Integer& rule) {
    const auto value = reader_.integer(name_, {rule.min, rule.max(limits_)});
    if (value) rule.store(request_, *value);
  }
  void operator()(const Number& rule) {
    const auto value = reader_.number(name_, rule.range);
    if (value) rule.store(request_, *value);
  }
  void operator()(const Boolean& rule) {
    const auto value = reader_.boolean(name_);
    if (value) request_.*rule.target = *value;
  }
  void operator()(const Text& rule) { request_.*rule.target = reader_.text(name_); }
  void operator()(const Special& rule) { rule.read(reader_, limits_, request_); }
  void operator()(const NotServed& /*rule*/) { read_not_served(reader_, name_); }

 private:
  FieldReader& reader_;
  const Limits& limits_;
  Request& request_;
  std::string_view name_;
};

// Rules about two fields at once.
void check_together(FieldReader& reader, const Limits& limits, const Request& request) {
  const auto sequences = static_cast<std::int64_t>(request.prompts.size()) * request.n;
  if (sequences > limits.max_sequences) {
    reader.refuse(
        "n", "times the number of prompts must be at most " + std::to_string(limits.max_sequences));
  }
  if (request.max_tokens == 0 && !request.echo) {
    reader.refuse("max_tokens", "must be at least 1 unless echo is true");
  }
  if (request.max_tokens && request.sampling.min_tokens > *request.max_tokens) {
    reader.refuse("min_tokens", "must not be greater than max_tokens");
  }
}

// The sampler's own words for what the client gave.
void fill_sampling(Request& request) {
  SamplingParams& sampling = request.sampling;
  sampling.max_tokens = request.max_tokens.value_or(sampling.max_tokens);
  sampling.temperature = request.temperature.value_or(sampling.temperature);
  sampling.top_p = request.top_p.value_or(sampling.top_p);
  sampling.top_k = request.top_k.value_or(sampling.top_k);
  sampling.min_p = request.min_p.value_or(sampling.min_p);
  sampling.repetition_penalty = request.repetition_penalty.value_or(sampling.repetition_penalty);
  sampling.seed = request.seed.value_or(sampling.seed);
  sampling.prompt_logprobs = request.echo && sampling.num_logprobs >= 0;
}

}  // namespace

Result<CompletionRequest> parse_completion(std::string_view body, const RequestLimits& limits) {
  Result<json> object = read_json_object(body, kNames);
  if (!object) return object.error();
  FieldReader reader(*object);
  CompletionRequest request;
  FieldVisitor visitor(reader, limits, request);
  for (const Field& field : kFields) {
    visitor.read(field);
    if (reader.failed()) return *reader.error();
  }
  check_together(reader, limits, request);
  if (reader.failed()) return *reader.error();
  fill_sampling(request);
  return request;
}

}  // namespace quire::proto
