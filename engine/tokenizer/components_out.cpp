// Decoder and post-processor: what is done to ids, after and before the text.

#include <nlohmann/json.hpp>

#include "engine/tokenizer/components.h"
#include "engine/tokenizer/tokenizer_file.h"
#include "engine/tokenizer/utf8.h"

namespace quire::engine {
namespace {

// A decoder is a chain over a list of strings. Token by token (kTokens) until the tokens' bytes are
// joined (kBytes), then as one string (kFused); a chain that goes back cannot be streamed.
enum class Phase : std::uint8_t { kTokens, kBytes, kFused };

DecoderSpec::Rewrite read_replace(const JsonField& field) {
  DecoderSpec::Rewrite rewrite;
  const JsonField pattern = field["pattern"];
  if (!pattern["Regex"].is_null())
    pattern["Regex"].unsupported("only a String pattern is supported");
  else
    rewrite.from = read_step_text(pattern["String"], false);
  rewrite.to = read_step_text(field["content"], true);
  return rewrite;
}

void add_strip(const JsonField& field, Phase phase, DecoderSpec& spec) {
  DecoderSpec::Rewrite rewrite;
  rewrite.kind = DecoderSpec::Rewrite::Kind::kStrip;
  rewrite.from = read_step_text(field["content"], false);
  if (!rewrite.from.empty() && first_code_point(rewrite.from).length != rewrite.from.size())
    field["content"].reject("not one character");
  rewrite.start = static_cast<std::size_t>(field["start"].integer(0, 255));
  rewrite.stop = static_cast<std::size_t>(field["stop"].integer(0, 255));
  if (phase == Phase::kTokens) {
    spec.rewrites.push_back(std::move(rewrite));
    return;
  }
  if (phase != Phase::kFused) field["type"].unsupported("Strip must come after Fuse here");
  if (rewrite.stop != 0) field["stop"].unsupported("only 0 is supported after Fuse");
  if (rewrite.from.size() != 1) field["content"].unsupported("only ASCII is supported after Fuse");
  if (spec.strip_start != 0) field["type"].unsupported("only one Strip is supported after Fuse");
  spec.strip_start = static_cast<std::uint8_t>(rewrite.start);
  spec.strip_char = rewrite.from.empty() ? ' ' : rewrite.from[0];
}

void read_metaspace_decoder(const JsonField& field, DecoderSpec& spec) {
  spec.metaspace = read_step_text(field["replacement"], false);
  const std::string scheme =
      field["prepend_scheme"].is_null() ? "always" : field["prepend_scheme"].string();
  if (scheme != "always" && scheme != "first" && scheme != "never")
    field["prepend_scheme"].reject("not always, first or never");
  spec.metaspace_drops_first = scheme != "never" && field["add_prefix_space"].boolean_or(true);
}

void add_decoder(const JsonField& field, Phase& phase, DecoderSpec& spec) {
  const std::string type = field["type"].string();
  const auto move_to = [&](Phase from, Phase to) {
    if (phase > from) field["type"].unsupported("not supported at this place in a Sequence");
    phase = to;
  };
  if (type == "Replace") {
    move_to(Phase::kTokens, Phase::kTokens);
    spec.rewrites.push_back(read_replace(field));
  } else if (type == "ByteLevel") {
    move_to(Phase::kTokens, Phase::kFused);
    spec.bytes = DecoderSpec::Bytes::kByteLevel;
  } else if (type == "ByteFallback") {
    move_to(Phase::kTokens, Phase::kBytes);
    spec.bytes = DecoderSpec::Bytes::kByteFallback;
  } else if (type == "Metaspace") {
    move_to(Phase::kTokens, Phase::kBytes);
    read_metaspace_decoder(field, spec);
  } else if (type == "Fuse") {
    move_to(Phase::kFused, Phase::kFused);
  } else if (type == "Strip") {
    add_strip(field, phase, spec);
  } else {
    field["type"].unsupported("this decoder is not supported");
  }
}

std::vector<TokenId> read_template_token(const JsonField& processor, const JsonField& piece) {
  const std::string name = piece["id"].string();
  const JsonField ids = processor["special_tokens"][name]["ids"];
  if (!ids.value().is_array()) piece["id"].reject("not among special_tokens");
  if (ids.size() > kMaxSurround) {
    ids.reject("more than 256 ids");
    return {};
  }
  std::vector<TokenId> result;
  for (std::size_t i = 0; i < ids.size(); ++i)
    result.push_back(static_cast<TokenId>(ids[i].integer(0, kMaxVocabSize - 1)));
  return result;
}

// Extends what is round the text by what this template puts round its $A.
void add_template(const JsonField& field, Surround& surround) {
  const JsonField single = field["single"];
  Surround added;
  bool seen_text = false;
  for (std::size_t i = 0; i < single.size(); ++i) {
    const JsonField piece = single[i];
    const JsonField sequence = piece["Sequence"];
    if (!sequence.is_null()) {
      if (seen_text || sequence["id"].string() != "A")
        sequence["id"].unsupported("only one A is supported");
      seen_text = true;
      continue;
    }
    std::vector<TokenId>& side = seen_text ? added.after : added.before;
    for (const TokenId id : read_template_token(field, piece["SpecialToken"])) side.push_back(id);
    if (surround.size() + added.size() > kMaxSurround) {
      piece.reject("more than 256 ids round a text");
      return;
    }
  }
  if (!seen_text) single.unsupported("a template without A is not supported");
  surround.before.insert(surround.before.begin(), added.before.begin(), added.before.end());
  surround.after.insert(surround.after.end(), added.after.begin(), added.after.end());
}

}  // namespace

DecoderSpec read_decoder(const JsonField& field) {
  DecoderSpec spec;
  spec.join_with_spaces = field.is_null();
  Phase phase = Phase::kTokens;
  const std::vector<JsonField> fields = flatten_sequence(field, "decoders");
  if (fields.size() > PreTokenizer::kMaxStages) field.unsupported("too many decoders");
  std::size_t growth = 1;
  for (const JsonField& decoder : fields) {
    const std::size_t before = spec.rewrites.size();
    add_decoder(decoder, phase, spec);
    if (spec.rewrites.size() == before) continue;
    const DecoderSpec::Rewrite& added = spec.rewrites.back();
    multiply_growth(growth, replace_growth(added.from, added.to), decoder);
  }
  return spec;
}

Surround read_post_processor(const JsonField& field) {
  Surround surround;
  for (const JsonField& processor : flatten_sequence(field, "processors")) {
    const std::string type = processor["type"].string();
    if (type == "TemplateProcessing")
      add_template(processor, surround);
    else if (type != "ByteLevel")  // that one only moves offsets
      processor["type"].unsupported("this post-processor is not supported");
  }
  return surround;
}

}  // namespace quire::engine
