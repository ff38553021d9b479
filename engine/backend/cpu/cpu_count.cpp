#include "engine/backend/cpu/cpu_count.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

namespace quire::engine::cpu {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Version 2: "max 100000", or the quota and the period in microseconds.
std::optional<double> quota_v2(const std::string& directory) {
  std::istringstream line(first_line(directory + "/cpu.max"));
  double quota = 0;
  double period = 0;
  if (!(line >> quota >> period) || quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

// Version 1: two files; a quota of -1 is none.
std::optional<double> quota_v1(const std::string& directory) {
  std::istringstream quota_line(first_line(directory + "/cpu.cfs_quota_us"));
  std::istringstream period_line(first_line(directory + "/cpu.cfs_period_us"));
  double quota = 0;
  double period = 0;
  if (!(quota_line >> quota) || !(period_line >> period)) return std::nullopt;
  if (quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

using QuotaReader = std::optional<double> (*)(const std::string& directory);

// The smallest quota of mount + path and of every directory above it, down to the mount itself. In
// a container the path may name directories of the host that are not visible: those read as no
// quota.
std::optional<double> smallest_quota(const std::string& mount, std::string path,
                                     QuotaReader reader) {
  std::optional<double> smallest;
  for (;;) {
    while (!path.empty() && path.back() == '/') path.pop_back();
    const std::optional<double> quota = reader(mount + path);
    if (quota && (!smallest || *quota < *smallest)) smallest = quota;
    if (path.empty()) return smallest;
    path.erase(path.find_last_of('/') == std::string::npos ? 0 : path.find_last_of('/'));
  }
}

// Whether the comma-separated controllers of a /proc/self/cgroup line name the CPU one.
bool names_cpu(const std::string& controllers) {
  std::istringstream list(controllers);
  for (std::string word; std::getline(list, word, ',');) {
    if (word == "cpu") return true;
  }
  return false;
}

}  // namespace

std::optional<double> cgroup_cpu_quota(const std::string& root) {
  // Lines "hierarchy:controllers:path"; version 2 is "0::path".
  std::ifstream groups(root + "/proc/self/cgroup");
  std::optional<double> smallest;
  const auto take = [&smallest](std::optional<double> quota) {
    if (quota && (!smallest || *quota < *smallest)) smallest = quota;
  };
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      take(smallest_quota(root + "/sys/fs/cgroup", path, quota_v2));
      take(smallest_quota(root + "/sys/fs/cgroup/unified", path, quota_v2));
    } else if (names_cpu(controllers)) {
      take(smallest_quota(root + "/sys/fs/cgroup/cpu", path, quota_v1));
      take(smallest_quota(root + "/sys/fs/cgroup/cpu,cpuacct", path, quota_v1));
    }
  }
  return smallest;
}

int available_cpus() {
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t affinity;
  CPU_ZERO(&affinity);
  if (sched_getaffinity(0, sizeof affinity, &affinity) == 0) cpus = CPU_COUNT(&affinity);
  if (const auto quota = cgroup_cpu_quota("")) {
    cpus = std::min(cpus, static_cast<int>(std::min(*quota, 1e6)));
  }
  return std::max(cpus, 1);
}

}  // namespace quire::engine::cpu
