#pragma once
// How much memory this process may use: the machine's, or its container's limit where that is less;
// and how an amount of memory is written.

#include <cstdint>
#include <optional>
#include <string>

namespace quire::engine {

// Bytes; physical memory cut to cgroup_memory_limit(). At least 1.
[[nodiscard]] std::int64_t available_memory();

// The memory limit in bytes under the file system `root` ("" is the machine's own): the smallest of
// the process's cgroup and its ancestors (v2 `memory.max`, v1 `memory.limit_in_bytes`); nothing
// where none is set. For tests, and for available_memory().
[[nodiscard]] std::optional<std::int64_t> cgroup_memory_limit(const std::string& root);

// "2.00 GiB", "1280 B": binary units, three figures.
[[nodiscard]] std::string size_text(std::int64_t bytes);

}  // namespace quire::engine
