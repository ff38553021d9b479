#include "engine/memory.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>

namespace quire::engine {
namespace {

// The number in a one-line file; `fallback` where it is absent or a word ("max").
std::int64_t read_number(const char* path, std::int64_t fallback) {
  std::ifstream file(path);
  std::int64_t value = 0;
  return file >> value && value > 0 ? value : fallback;
}

}  // namespace

std::int64_t available_memory() {
  const std::int64_t machine =
      static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  const std::int64_t v2 = read_number("/sys/fs/cgroup/memory.max", machine);
  const std::int64_t v1 = read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", machine);
  return std::max<std::int64_t>(1, std::min({machine, v2, v1}));
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
