// Page records and remote addresses from bytes: never a crash, and a record is accepted only where
// it is the one that was written.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/tiers/page_record.h"
#include "engine/tiers/remote_address.h"

namespace {

using quire::TokenId;
using namespace quire::engine;

constexpr RecordShape kShape{.span_tokens = 4, .page_bytes = 64};
const std::vector<TokenId> kTokens{1, 2, 3, 4};
const quire::cache::PageKey kKey = quire::cache::child_key({}, kTokens);

// A good record with the input's bytes laid over it by exclusive or.
void check_damage(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::byte> pages(kShape.page_bytes, std::byte{7});
  std::vector<std::byte> record(kShape.record_bytes());
  write_record(kShape, {.stamp = 9, .key = kKey, .tokens = kTokens}, pages, record);
  bool damaged = false;
  const std::size_t used = 104 + 16;  // what follows pads the head
  for (std::size_t i = 0; i < size && i < record.size(); ++i) {
    record[i] ^= std::byte{data[i]};
    if (data[i] != 0 && (i < used || i >= kShape.head_bytes())) damaged = true;
  }
  if (read_record(kShape, kKey, kTokens, record).empty() != damaged) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = std::byte{data[i]};
  (void)read_head(kShape, bytes);
  (void)read_record(kShape, kKey, kTokens, bytes);
  check_damage(data, size);
  (void)parse_remote_url({reinterpret_cast<const char*>(data), size});
  return 0;
}
