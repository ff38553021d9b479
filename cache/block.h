#pragma once
// Block: what the pool knows of one page. A plain value in BlockPool's flat array; indices instead
// of pointers keep it at 16 bytes and the array movable in one piece.

#include <cstdint>

namespace quire::cache {

struct Block {
  std::int32_t ref_count = 0;  // tables that hold it; 0: it is on the free list
  std::int32_t previous = 0;   // neighbours on the free list; meaningless while it is held
  std::int32_t next = 0;
  std::uint32_t changed_at = 0;  // BlockPool::set_now() when it was last taken or given back
};

}  // namespace quire::cache
