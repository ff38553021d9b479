// Normalizer, pre-tokenizer and added tokens; decoder and post-processor are in components_out.cpp.

#include "engine/tokenizer/components.h"

#include <nlohmann/json.hpp>

#include "engine/tokenizer/tokenizer_file.h"
#include "engine/tokenizer/utf8.h"

namespace quire::engine {
namespace {

// The string of a Replace pattern. Regular expressions are not supported.
std::string read_replace_pattern(const JsonField& pattern) {
  if (!pattern["Regex"].is_null()) {
    pattern["Regex"].unsupported("only a String pattern is supported");
    return "";
  }
  return read_step_text(pattern["String"], false);
}

void add_normalizer_step(const JsonField& field, std::vector<NormalizerStep>& steps) {
  const std::string type = field["type"].string();
  if (type == "NFC") {
    steps.emplace_back(UnicodeForm::kNfc);
  } else if (type == "NFD") {
    steps.emplace_back(UnicodeForm::kNfd);
  } else if (type == "NFKC") {
    steps.emplace_back(UnicodeForm::kNfkc);
  } else if (type == "NFKD") {
    steps.emplace_back(UnicodeForm::kNfkd);
  } else if (type == "Lowercase") {
    steps.emplace_back(LowercaseStep{});
  } else if (type == "Prepend") {
    steps.emplace_back(PrependStep{read_step_text(field["prepend"], true)});
  } else if (type == "Replace") {
    steps.emplace_back(ReplaceStep{read_replace_pattern(field["pattern"]),
                                   read_step_text(field["content"], true)});
  } else if (type == "Strip") {
    steps.emplace_back(StripStep{field["strip_left"].boolean(), field["strip_right"].boolean()});
  } else {
    field["type"].unsupported("this normalizer is not supported");
  }
}

SplitStage read_split(const JsonField& field) {
  const JsonField regex = field["pattern"]["Regex"];
  if (regex.is_null()) {
    field["pattern"].unsupported("only a Regex pattern is supported");
    return {SplitPattern::kGpt2};
  }
  const std::string behavior = field["behavior"].string();
  const bool invert = field["invert"].boolean();
  // The known patterns leave no gaps, so that these two are the same.
  if (!(behavior == "Isolated" && !invert) && !(behavior == "Removed" && invert))
    field["behavior"].unsupported("only Isolated, or Removed with invert, is supported");
  const std::optional<SplitPattern> pattern = recognise_split_pattern(regex.string());
  if (!pattern) regex.unsupported("not the split pattern of GPT-2, Llama 3 or Qwen 2");
  return {pattern.value_or(SplitPattern::kGpt2)};
}

MetaspaceStage read_metaspace(const JsonField& field) {
  MetaspaceStage stage;
  stage.replacement = read_step_text(field["replacement"], false);
  if (!stage.replacement.empty() &&
      first_code_point(stage.replacement).length != stage.replacement.size())
    field["replacement"].reject("not one character");
  const std::string scheme =
      field["prepend_scheme"].is_null() ? "always" : field["prepend_scheme"].string();
  if (scheme == "first")
    stage.prepend = MetaspaceStage::Prepend::kFirst;
  else if (scheme == "never")
    stage.prepend = MetaspaceStage::Prepend::kNever;
  else if (scheme != "always")
    field["prepend_scheme"].reject("not always, first or never");
  if (!field["add_prefix_space"].boolean_or(true)) stage.prepend = MetaspaceStage::Prepend::kNever;
  stage.split = field["split"].boolean_or(true);
  return stage;
}

void add_stage(const JsonField& field, std::vector<PreTokenizerStage>& stages,
               BpeModel::Alphabet& alphabet) {
  const std::string type = field["type"].string();
  if (alphabet == BpeModel::Alphabet::kBytes)
    field["type"].unsupported("nothing may come after ByteLevel");
  if (type == "ByteLevel") {
    alphabet = BpeModel::Alphabet::kBytes;
    if (field["add_prefix_space"].boolean()) stages.emplace_back(ByteLevelStage{true});
    if (field["use_regex"].boolean_or(true)) stages.emplace_back(SplitStage{SplitPattern::kGpt2});
  } else if (type == "Split") {
    stages.emplace_back(read_split(field));
  } else if (type == "Metaspace") {
    stages.emplace_back(read_metaspace(field));
  } else if (type == "Digits") {
    stages.emplace_back(DigitsStage{field["individual_digits"].boolean_or(false)});
  } else {
    field["type"].unsupported("this pre-tokenizer is not supported");
  }
}

}  // namespace

std::vector<JsonField> flatten_sequence(const JsonField& field, const char* list_key) {
  std::vector<JsonField> flat;
  std::vector<JsonField> waiting = {field};
  while (!waiting.empty()) {
    const JsonField next = waiting.back();
    waiting.pop_back();
    if (next.is_null()) {
      if (!field.is_null()) next.reject("null inside a Sequence");
      continue;
    }
    const nlohmann::json& value = next.value();
    if (!value.is_object() || next["type"].string() != "Sequence") {
      flat.push_back(next);
      continue;
    }
    const JsonField list = next[list_key];
    if (!list.value().is_array()) list.reject("not an array");
    for (std::size_t i = list.size(); i > 0; --i) waiting.push_back(list[i - 1]);
  }
  return flat;
}

void multiply_growth(std::size_t& growth, std::size_t by, const JsonField& step) {
  growth *= by;
  if (growth <= kMaxGrowth) return;
  step.reject("with the steps before it, may make a text more than 512 times as long");
  growth = 1;
}

std::string read_step_text(const JsonField& field, bool allow_empty) {
  std::string text = field.string();
  if (text.size() > kMaxStepText) {
    field.reject("longer than 64 bytes");
    text.clear();
  } else if (text.empty() && !allow_empty) {
    field.reject("empty");
  }
  return text;
}

Normalizer read_normalizer(const JsonField& field) {
  std::vector<NormalizerStep> steps;
  const std::vector<JsonField> fields = flatten_sequence(field, "normalizers");
  if (fields.size() > PreTokenizer::kMaxStages) field.unsupported("too many normalizers");
  std::size_t growth = 1;
  for (const JsonField& step : fields) {
    const std::size_t before = steps.size();
    add_normalizer_step(step, steps);
    if (steps.size() > before) multiply_growth(growth, growth_of(steps.back()), step);
  }
  return Normalizer(std::move(steps));
}

PreTokenizerSpec read_pre_tokenizer(const JsonField& field) {
  PreTokenizerSpec spec;
  std::vector<PreTokenizerStage> stages;
  const std::vector<JsonField> fields = flatten_sequence(field, "pretokenizers");
  if (fields.size() * 2 > PreTokenizer::kMaxStages) field.unsupported("too many pre-tokenizers");
  for (const JsonField& stage : fields) add_stage(stage, stages, spec.alphabet);
  spec.pre_tokenizer = PreTokenizer(std::move(stages));
  return spec;
}

std::vector<AddedToken> read_added_tokens(const JsonField& field) {
  std::vector<AddedToken> tokens;
  const std::size_t count = field.size();
  tokens.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const JsonField item = field[i];
    AddedToken token;
    token.id = static_cast<TokenId>(item["id"].integer(0, kMaxVocabSize - 1));
    token.content = item["content"].string();
    if (token.content.size() > kMaxAddedTokenBytes)
      item["content"].reject("longer than 1,024 bytes");
    token.special = item["special"].boolean();
    token.normalized = item["normalized"].boolean();
    token.single_word = item["single_word"].boolean();
    token.lstrip = item["lstrip"].boolean();
    token.rstrip = item["rstrip"].boolean();
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace quire::engine
