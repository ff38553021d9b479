// The fields that completions and chat share, and how a table is read.

#include "proto/field_table.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "proto/completion_lists.h"

namespace quire::proto::fields {
namespace {

using nlohmann::json;

// Below this the distribution is a spike and its logits may overflow: greedy, as in vLLM.
constexpr float kGreedyBelow = 1e-5f;
constexpr std::size_t kMaxSaltBytes = 256;

bool asks_for_nothing(const json& value) {
  if (value.is_boolean()) return !value.get<bool>();
  return (value.is_string() && value.get_ref<const std::string&>().empty()) ||
         (value.is_structured() && value.empty());
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

constexpr std::int32_t kInt32Min = std::numeric_limits<std::int32_t>::min();
constexpr std::int32_t kInt32Max = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kInt64Min = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();

constexpr Field kShared[] = {
    {"model", Text{&Request::model}},
    {"stream", Boolean{&Request::stream}},
    {"stream_options", Special{read_stream_options}},
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
    {"stop", Special{read_stop}},
    {"stop_token_ids", Special{read_stop_token_ids}},
    {"include_stop_str_in_output", Boolean{&Request::include_stop_str_in_output}},
    {"skip_special_tokens", Boolean{&Request::skip_special_tokens}},
    {"ignore_eos", Special{[](FieldReader& reader, const Limits&, Request& r) {
       r.sampling.ignore_eos = reader.boolean("ignore_eos").value_or(false);
     }}},
    {"priority", Integer{kInt32Min, up_to<kInt32Max>,
                         [](Request& r, std::int64_t v) { r.priority = narrow(v); }}},
    {"cache_salt", Special{read_cache_salt}},
    {"user", Special{read_user}},
    {"response_format", Special{read_response_format}},
    {"functions", NotServed{}},
    {"function_call", NotServed{}},
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

}  // namespace

void read_not_served(FieldReader& reader, std::string_view name) {
  const json* value = reader.find(name);
  if (value != nullptr && !asks_for_nothing(*value)) reader.unsupported(name);
}

void read_tool_choice(FieldReader& reader, const Limits& /*limits*/, Request& /*request*/) {
  const json* value = reader.find("tool_choice");
  if (value != nullptr && *value != "none") reader.unsupported("tool_choice");
}

std::span<const Field> shared_fields() { return kShared; }

void read_fields(std::span<const Field> table, FieldReader& reader, const Limits& limits,
                 Request& request) {
  FieldVisitor visitor(reader, limits, request);
  for (const Field& field : table) {
    if (reader.failed()) return;
    visitor.read(field);
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

std::vector<std::string_view> names_of(std::initializer_list<std::span<const Field>> tables,
                                       std::span<const std::string_view> more) {
  std::vector<std::string_view> names(more.begin(), more.end());
  for (const std::span<const Field> table : tables) {
    for (const Field& field : table) names.push_back(field.name);
  }
  return names;
}

}  // namespace quire::proto::fields
