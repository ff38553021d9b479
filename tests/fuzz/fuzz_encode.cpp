// Any text through every kind of tokenizer: ids in range, no special token where they are off, and
// byte-level ones give the text back.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/utf8.h"

namespace {

using quire::engine::Tokenizer;

// The alphabet of byte-level tokenizers: printable Latin-1 as itself, the rest from U+0100 on.
std::string byte_vocabulary() {
  std::string json;
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool itself =
        (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    json += byte == 0 ? "\"" : ",\"";
    if (byte == '"' || byte == '\\') json += '\\';
    quire::engine::append_utf8(itself ? static_cast<char32_t>(byte) : next++, json);
    json += "\":" + std::to_string(byte);
  }
  return json;
}

std::unique_ptr<Tokenizer> make(const std::string& split, const std::string& normalizer) {
  const std::string json =
      R"({"added_tokens":[{"id":300,"content":"<s>","special":true,"normalized":false,)"
      R"("single_word":false,"lstrip":true,"rstrip":true},{"id":301,"content":"ab","special":false,)"
      R"("normalized":true,"single_word":true,"lstrip":false,"rstrip":false}],)"
      R"("normalizer":)" +
      normalizer +
      R"(,"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","behavior":"Isolated",)"
      R"("invert":false,"pattern":{"Regex":")" +
      split +
      R"("}},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]},)"
      R"("decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{)" +
      byte_vocabulary() +
      R"(,"aa":256,"aaa":257,"aaaa":258,"Ġa":259,"ĠĠ":260},"merges":["a a","aa a","aa aa","Ġ a",)"
      R"("Ġ Ġ"]}})";
  auto result = Tokenizer::parse(json, "fuzz");
  if (!result) std::abort();
  return std::move(result).value();
}

const std::vector<std::unique_ptr<Tokenizer>>& tokenizers() {
  static const auto all = [] {
    const std::string tail = R"( ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+)";
    const std::string head = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N})";
    std::vector<std::unique_ptr<Tokenizer>> made;
    made.push_back(make(
        R"('s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+)",
        "null"));
    made.push_back(make(head + "{1,3}|" + tail, "null"));
    made.push_back(make(head + "|" + tail, R"({"type":"NFC"})"));
    made.push_back(make(head + "|" + tail, R"({"type":"NFKD"})"));
    return made;
  }();
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (std::size_t i = 0; i < tokenizers().size(); ++i) {
    const Tokenizer& tokenizer = *tokenizers()[i];
    static_cast<void>(tokenizer.encode(text));
    const auto ids = tokenizer.encode(text, {false, false});
    for (const auto id : ids)
      if (id < 0 || id >= tokenizer.vocab_size() || tokenizer.is_special(id)) std::abort();
    const bool keeps_text = i < 2;  // the others normalize
    if (keeps_text && tokenizer.decode(ids, false) != quire::engine::repair_utf8(text))
      std::abort();
  }
  return 0;
}
