#pragma once
// How much memory this process may use: the machine's, or its container's limit where that is less;
// and how an amount of memory is written.

#include <cstdint>
#include <string>

namespace quire::engine {

// Bytes; physical memory cut to the cgroup's memory limit (v2 or v1). At least 1.
[[nodiscard]] std::int64_t available_memory();

// "2.00 GiB", "1280 B": binary units, three figures.
[[nodiscard]] std::string size_text(std::int64_t bytes);

}  // namespace quire::engine
