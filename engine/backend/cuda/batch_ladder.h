#pragma once
// The batch sizes for which decode steps are captured as graphs: 1, 2, 4, 8, then every multiple of
// 8. A step of fewer rows is padded to the next size with rows that write nothing to the pool.
//
// 1. ladder_size(n) >= n, and below 8 more than it.
// 2. A tile of logits padded on its own stays within the padded batch: for n in tiles of 32,
//    32 i + ladder_size(rest) <= ladder_size(32 i + rest).

#include <cstdint>

namespace quire::engine::cuda {

[[nodiscard]] constexpr std::int64_t ladder_size(std::int64_t rows) {
  if (rows <= 2) return rows;
  if (rows <= 4) return 4;
  return (rows + 7) / 8 * 8;
}

}  // namespace quire::engine::cuda
