// Any bytes as a tokenizer.json: refused, or a tokenizer that encodes and decodes.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using quire::engine::Tokenizer;
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const auto result = Tokenizer::parse(json, "fuzz.json");
  if (!result) {
    if (result.error().message.size() > 512) std::abort();
    return 0;
  }
  const Tokenizer& tokenizer = *result.value();
  for (const bool parse_special : {false, true}) {
    const auto ids = tokenizer.encode("The river's  12\n狐 <s>\xFF", {true, parse_special});
    for (const auto id : ids)
      if (id < 0 || id >= tokenizer.vocab_size()) std::abort();
    if (!quire::engine::is_valid_utf8(tokenizer.decode(ids, parse_special))) std::abort();
  }
  return 0;
}
