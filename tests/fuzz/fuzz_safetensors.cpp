// Any bytes as a safetensors file: refused in one line, or tensors that fill the file exactly.

#include <cstdint>
#include <span>

#include "engine/weights/safetensors.h"
#include "proto/check.h"

using namespace quire;
using namespace quire::engine;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto parsed = parse_safetensors(std::as_bytes(std::span(data, size)));
  if (!parsed.ok()) {
    CHECK(!parsed.error().message.empty() && !parsed.error().param.empty());
    for (const char c : parsed.error().param + parsed.error().message) CHECK(c >= 0x20 && c < 0x7f);
    return 0;
  }
  std::int64_t next = -1;
  for (const SafetensorsEntry& entry : *parsed) {
    CHECK(next == -1 || entry.begin == next);
    CHECK(entry.begin >= 8 && entry.end >= entry.begin);
    CHECK_LE(entry.end, static_cast<std::int64_t>(size));
    CHECK(entry.rank >= 0 && entry.rank <= kMaxTensorRank);
    std::int64_t bits = entry.type->bits;
    for (int i = 0; i < entry.rank; ++i) bits *= entry.shape[static_cast<std::size_t>(i)];
    CHECK_EQ(bits, 8 * (entry.end - entry.begin));
    next = entry.end;
  }
  CHECK(next == -1 || next == static_cast<std::int64_t>(size));
  return 0;
}
