// Any bytes as a tokenizer.json: refused with a message, or a tokenizer that encodes any text
// within its vocabulary and decodes it, token by token, to the same text as at once.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/tokenizer/detokenizer.h"
#include "engine/tokenizer/tokenizer.h"
#include "proto/check.h"

namespace {

using namespace quire;
using namespace quire::engine;

constexpr std::string_view kTexts[] = {"",
                                       "a",
                                       "ab ab",
                                       "  two  spaces\n\n",
                                       "caf\xc3\xa9 \xf0\x9f\x98\x80",
                                       "<s>a</s>",
                                       "it's 12345 l'\xe4\xb8\xad\xe6\x96\x87",
                                       "\xff\xc0\x80\xed\xa0\x80"};

void use(const Tokenizer& tokenizer, std::string_view text) {
  const std::vector<TokenId> ids = tokenizer.encode(text);
  Detokenizer detokenizer(tokenizer, /*skip_special=*/false, /*continues=*/false);
  std::string streamed;
  for (const TokenId id : ids) {
    CHECK(id >= 0 && id < tokenizer.vocab_size());
    CHECK_LE(tokenizer.token_bytes(id).size(), tokenizer.max_token_bytes());
    detokenizer.push(id, streamed);
  }
  detokenizer.finish(streamed);
  CHECK(streamed == tokenizer.decode(ids, /*skip_special=*/false));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const auto tokenizer = Tokenizer::parse(json, "tokenizer.json");
  if (!tokenizer.ok()) {
    CHECK(!tokenizer.error().message.empty());
    CHECK_LE(tokenizer.error().message.size(), std::size_t{512});
    return 0;
  }
  for (const std::string_view text : kTexts) use(**tokenizer, text);
  return 0;
}
