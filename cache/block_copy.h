#pragma once
// BlockCopy: a page that the next step must copy before it writes anything.

#include <cstdint>

#include "proto/types.h"

namespace quire::cache {

// kIn: from host memory to the device, kOut: the other way. Pages of host memory are numbered like
// blocks, through all slots of the host tier.
enum class CopyKind : std::uint8_t { kCopyOnWrite, kIn, kOut };

struct BlockCopy {
  CopyKind kind = CopyKind::kCopyOnWrite;
  std::int32_t group = 0;
  BlockId from = kNoBlock;
  BlockId to = kNoBlock;
};

}  // namespace quire::cache
