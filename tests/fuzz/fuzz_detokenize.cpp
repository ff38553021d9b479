// Any ids and any bytes, streamed: valid UTF-8 at every step, the same text as at once, and stop
// strings found however the text is cut.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/detokenizer.h"
#include "engine/tokenizer/stop_matcher.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/utf8.h"

namespace {

using quire::engine::Detokenizer;
using quire::engine::StopMatcher;
using quire::engine::Tokenizer;

// 256 tokens, each one byte by fallback.
const Tokenizer& byte_tokenizer() {
  static const auto tokenizer = [] {
    std::string vocab;
    const char* digits = "0123456789ABCDEF";
    for (int byte = 0; byte < 256; ++byte) {
      vocab += byte == 0 ? "\"<0x" : ",\"<0x";
      vocab += {digits[byte / 16], digits[byte % 16]};
      vocab += ">\":" + std::to_string(byte);
    }
    auto result = Tokenizer::parse(
        R"({"decoder":{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"},)"
        R"({"type":"Strip","content":" ","start":1,"stop":0}]},"model":{"vocab":{)" +
            vocab + R"(},"merges":[]}})",
        "fuzz");
    if (!result) std::abort();
    return std::move(result).value();
  }();
  return *tokenizer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  // The first bytes choose a stop string out of the input.
  const std::size_t stop_begin = 2 + data[0] % 16;
  const std::size_t stop_length = 1 + data[1] % 8;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::vector<quire::TokenId> ids;
  for (const char byte : input.substr(2)) ids.push_back(static_cast<std::uint8_t>(byte));
  const std::string whole = byte_tokenizer().decode(ids, false);
  std::string stop = stop_begin < size ? std::string(input.substr(stop_begin, stop_length)) : "ab";
  stop = quire::engine::repair_utf8(stop);

  Detokenizer detokenizer(byte_tokenizer(), false, false);
  StopMatcher matcher({stop}, false);
  std::string all;
  std::string released;
  int found = -1;
  for (std::size_t i = 0; i <= ids.size(); ++i) {
    std::string piece;
    if (i < ids.size())
      detokenizer.push(ids[i], piece);
    else
      detokenizer.finish(piece);
    if (!quire::engine::is_valid_utf8(piece)) std::abort();
    all += piece;
    if (found < 0) found = matcher.push(piece, released);
    if (!quire::engine::is_valid_utf8(released)) std::abort();
  }
  if (found < 0) matcher.finish(released);
  if (all != whole) std::abort();
  if (released != whole.substr(0, whole.find(stop))) std::abort();
  return 0;
}
