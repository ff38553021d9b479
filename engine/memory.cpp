#include "engine/memory.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>

#include "engine/backend/cgroup.h"

namespace quire::engine {

std::optional<std::int64_t> cgroup_memory_limit(const std::string& root) {
  std::optional<std::int64_t> smallest;
  for (const auto& [directory, version] : cgroup_directories(root, "memory", {"memory"})) {
    std::istringstream line(
        first_line(directory + (version == 2 ? "/memory.max" : "/memory.limit_in_bytes")));
    std::int64_t limit = 0;  // a word ("max") is none
    if (line >> limit && limit > 0 && (!smallest || limit < *smallest)) smallest = limit;
  }
  return smallest;
}

std::int64_t available_memory() {
  const std::int64_t machine =
      static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  return std::max<std::int64_t>(1, std::min(machine, cgroup_memory_limit("").value_or(machine)));
}

std::string size_text(std::int64_t bytes) {
  constexpr std::array<const char*, 4> kUnits = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 10240) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(),
                value < 10    ? "%.2f %s"
                : value < 100 ? "%.1f %s"
                              : "%.0f %s",
                value, kUnits[unit]);
  return text.data();
}

}  // namespace quire::engine
