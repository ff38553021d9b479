#pragma once
// The inside of a page on the CPU, layout "k-dim16-v-slot", and how tokens get there.
//
//   K part:  [kv_head][slot / 16][dim][slot % 16]   16 keys side by side: lanes of the scores
//   V part:  [kv_head][slot][dim]
//   Under int8 and fp8 each part ends with its scales, [kv_head][slot]; 16 keys' are neighbours
//   too.
// Where a key lies relative to its neighbours in a run of 16 does not depend on block_size, a
// multiple of 16. Free functions; the pages belong to KvStorage.

#include <cstdint>

#include "engine/backend/backend.h"
#include "engine/backend/cpu/kernels.h"

namespace quire::engine::cpu {

// Byte offset inside a part of the run of 16 keys (or values) that holds slot `slot` of the block.
[[nodiscard]] inline std::int64_t subtile_offset(const KvLayer& kv, std::int64_t head,
                                                 std::int64_t slot) {
  return (head * kv.block_size + slot / kSubtile * kSubtile) * kv.head_dim * dtype_bytes(kv.dtype);
}

// Writes one token's k and v, [num_kv_heads * head_dim] each, into its slot, in the page's format.
void write_token(const float* k, const float* v, const KvLayer& kv, std::int64_t slot);

// Rotates the heads of one token in place.
void rotate_token(float* x, std::int64_t cols, std::int32_t head_dim, const RopeTable& rope,
                  std::int64_t position);

}  // namespace quire::engine::cpu
