#pragma once
// `suffix`: a prompt that has the model write what stands between two texts.
//
// A pure function. Works where the tokenizer has the three tokens that a model was trained with, in
// the order prefix, suffix, middle; else kUnsupported.

#include <string_view>
#include <vector>

#include "engine/tokenizer/tokenizer.h"
#include "proto/error.h"

namespace quire::server {

// `before`: the encoded prompt; special tokens that it begins with stay in front.
[[nodiscard]] Result<std::vector<TokenId>> fill_in_the_middle(const engine::Tokenizer& tokenizer,
                                                              std::vector<TokenId> before,
                                                              std::string_view suffix);

}  // namespace quire::server
