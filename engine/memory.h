#pragma once
// How much memory this process may use: the machine's, or its container's limit where that is less.

#include <cstdint>

namespace quire::engine {

// Bytes; physical memory cut to the cgroup's memory limit (v2 or v1). At least 1.
[[nodiscard]] std::int64_t available_memory();

}  // namespace quire::engine
