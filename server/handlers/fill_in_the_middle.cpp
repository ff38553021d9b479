#include "server/handlers/fill_in_the_middle.h"

#include <algorithm>
#include <optional>

namespace quire::server {
namespace {

struct MiddleTokens {
  std::string_view prefix, suffix, middle;
};

// Qwen and Granite; StarCoder and its kin; Code Llama; DeepSeek Coder; Codestral has none of them.
constexpr MiddleTokens kFamilies[] = {
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},
    {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},
    {"\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>"},
    {"<\uff5cfim\u2581begin\uff5c>", "<\uff5cfim\u2581hole\uff5c>", "<\uff5cfim\u2581end\uff5c>"},
};

struct MiddleIds {
  TokenId prefix, suffix, middle;
};

std::optional<MiddleIds> find_ids(const engine::Tokenizer& tokenizer) {
  for (const MiddleTokens& family : kFamilies) {
    const auto prefix = tokenizer.token_to_id(family.prefix);
    const auto suffix = tokenizer.token_to_id(family.suffix);
    const auto middle = tokenizer.token_to_id(family.middle);
    if (prefix && suffix && middle) return MiddleIds{*prefix, *suffix, *middle};
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<TokenId>> fill_in_the_middle(const engine::Tokenizer& tokenizer,
                                                std::vector<TokenId> before,
                                                std::string_view suffix) {
  const auto ids = find_ids(tokenizer);
  if (!ids) {
    return Error{ErrorCode::kUnsupported, "This model's tokenizer has no tokens for a suffix.",
                 "suffix"};
  }
  const auto text =
      std::ranges::find_if(before, [&](TokenId id) { return !tokenizer.is_special(id); });
  before.insert(text, ids->prefix);
  before.push_back(ids->suffix);
  const std::vector<TokenId> after =
      tokenizer.encode(suffix, {.add_special_tokens = false, .parse_special = false});
  before.insert(before.end(), after.begin(), after.end());
  before.push_back(ids->middle);
  return before;
}

}  // namespace quire::server
