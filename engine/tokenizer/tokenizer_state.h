#pragma once
// Tokenizer::State: everything a loaded tokenizer consists of. Immutable after build.

#include <cstdint>
#include <vector>

#include "engine/tokenizer/added_tokens.h"
#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/components.h"
#include "engine/tokenizer/normalizer.h"
#include "engine/tokenizer/pre_tokenizer.h"
#include "engine/tokenizer/token_decoder.h"
#include "engine/tokenizer/tokenizer.h"

namespace quire::engine {

struct Tokenizer::State {
  BpeModel model;
  StringIndex added_index;        // contents of the added tokens
  AddedTokens raw_tokens;         // looked for in the text as it came
  AddedTokens normalized_tokens;  // looked for in the normalized text
  Normalizer normalizer;
  PreTokenizerSpec pre_tokenizer;
  Surround surround;
  TokenDecoder decoder;
  std::vector<bool> exists;   // by id; as long as the vocabulary
  std::vector<bool> special;  // by id; as long as the vocabulary
};

}  // namespace quire::engine
