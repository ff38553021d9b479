#pragma once
// Reads the parts of a tokenizer.json other than its model, each from its field of the tree. What
// is unknown or unsupported is refused by name; nothing is ignored but `truncation` and `padding`,
// which are a matter of whoever calls.
//
// Pure functions; errors go to the JsonErrors of the field.

#include <vector>

#include "engine/tokenizer/added_tokens.h"
#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/json_field.h"
#include "engine/tokenizer/normalizer.h"
#include "engine/tokenizer/pre_tokenizer.h"
#include "engine/tokenizer/token_decoder.h"

namespace quire::engine {

// Longest string that a Replace, Prepend or Strip may have: it multiplies the size of the text.
inline constexpr std::size_t kMaxStepText = 64;

// Most that the steps of a chain together may multiply the size of a text by. NFKC, Lowercase, a
// Prepend of three bytes and a Replace of one byte by three could reach 264.
inline constexpr std::size_t kMaxGrowth = 512;
// Most ids that a post-processor may put round a text: each text pays for them.
inline constexpr std::size_t kMaxSurround = 256;

// What the post-processor puts round the ids of a text.
struct Surround {
  std::vector<TokenId> before;
  std::vector<TokenId> after;

  [[nodiscard]] std::size_t size() const { return before.size() + after.size(); }
};

struct PreTokenizerSpec {
  PreTokenizer pre_tokenizer;
  BpeModel::Alphabet alphabet = BpeModel::Alphabet::kCharacters;
};

Normalizer read_normalizer(const JsonField& field);
PreTokenizerSpec read_pre_tokenizer(const JsonField& field);
DecoderSpec read_decoder(const JsonField& field);
Surround read_post_processor(const JsonField& field);
std::vector<AddedToken> read_added_tokens(const JsonField& field);

// The fields of `field` after taking Sequences apart: `list_key` names their list. Null: none.
std::vector<JsonField> flatten_sequence(const JsonField& field, const char* list_key);

// Takes one more step into a chain's growth; an error of `step` beyond kMaxGrowth.
void multiply_growth(std::size_t& growth, std::size_t by, const JsonField& step);

// A string of at most kMaxStepText bytes; empty ones are refused unless allow_empty.
std::string read_step_text(const JsonField& field, bool allow_empty);

}  // namespace quire::engine
