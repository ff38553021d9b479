#pragma once
// The header of a safetensors file: which tensor lies where.
//
//   [8 bytes: N, little-endian] [N bytes: JSON] [tensor data]
//   {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__":
//   {...}}
//
// What parse_safetensors() returns holds (the rules of the format's reference implementation, which
// it takes over, and stricter limits):
// 1. N <= kMaxHeaderBytes and the header lies inside the file and starts with '{'.
// 2. Names are unique; dtypes are of the known table; ranks are at most kMaxTensorRank.
// 3. end - begin is exactly product(shape) x bits of the dtype, without overflow.
// 4. Sorted by begin, the tensors fill the data section from 0 to the end of the file: no hole, no
//    overlap, nothing behind.
// Nothing is allocated in proportion to a shape: memory is bounded by the header's own length.
// Data may be unaligned. No recursion: the depth of the JSON is fixed by the format.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"
#include "proto/types.h"

namespace quire::engine {

inline constexpr std::int64_t kMaxHeaderBytes = 16 << 20;  // a 1,000-layer model has about 2 MiB
inline constexpr int kMaxTensorRank = 8;

// An element type of the format; only some can be computed with.
struct StoredType {
  std::string_view name;  // "BF16"
  std::int64_t bits = 0;
  std::optional<DType> dtype;
};

struct SafetensorsEntry {
  std::string name;
  const StoredType* type = nullptr;  // into a static table
  std::array<std::int64_t, kMaxTensorRank> shape{};
  int rank = 0;
  std::int64_t begin = 0;  // in bytes, from the start of the file
  std::int64_t end = 0;
};

// Error: message says what is wrong, param is "tensor NAME" where it concerns one, else "header".
[[nodiscard]] Result<std::vector<SafetensorsEntry>> parse_safetensors(
    std::span<const std::byte> file);

// A name from a file as it may stand in one line of a message: printable, at most 128 bytes.
[[nodiscard]] std::string printable_name(std::string_view name);

}  // namespace quire::engine
