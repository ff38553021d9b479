#include "engine/memory.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>

namespace quire::engine {
namespace {

// The smallest of several limits, some of which may not be set.
class Smallest final {
 public:
  // The number in a one-line file; none where it is absent or a word ("max").
  void take_file(const std::string& path) {
    std::ifstream file(path);
    std::int64_t value = 0;
    if (file >> value && value > 0 && (!value_ || value < *value_)) value_ = value;
  }
  // The file `name` of mount + path and of every directory above it, down to the mount itself. In a
  // container the path may name directories of the host that are not visible: no limit.
  void take_tree(const std::string& mount, std::string path, const char* name) {
    while (true) {
      while (path.ends_with('/')) path.pop_back();
      take_file(mount + path + name);
      if (path.empty()) return;
      path.erase(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    }
  }
  [[nodiscard]] std::optional<std::int64_t> value() const { return value_; }

 private:
  std::optional<std::int64_t> value_;
};

}  // namespace

std::optional<std::int64_t> cgroup_memory_limit(const std::string& root) {
  constexpr const char* kVersion1 = "/memory.limit_in_bytes";
  constexpr const char* kVersion2 = "/memory.max";
  Smallest limit;
  // Also where the process's path is not told.
  limit.take_file(root + "/sys/fs/cgroup" + kVersion2);
  limit.take_file(root + "/sys/fs/cgroup/memory" + kVersion1);
  // Lines "hierarchy:controllers:path"; version 2 is "0::path".
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string controllers(1, ',');
    controllers.append(line, first + 1, second - first - 1).push_back(',');
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") {
      limit.take_tree(root + "/sys/fs/cgroup", path, kVersion2);
      limit.take_tree(root + "/sys/fs/cgroup/unified", path, kVersion2);
    } else if (controllers.find(",memory,") != std::string::npos) {
      limit.take_tree(root + "/sys/fs/cgroup/memory", path, kVersion1);
    }
  }
  return limit.value();
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
