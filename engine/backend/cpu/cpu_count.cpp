#include "engine/backend/cpu/cpu_count.h"

#include <sched.h>

#include <algorithm>
#include <sstream>
#include <thread>

#include "engine/backend/cgroup.h"

namespace quire::engine::cpu {
namespace {

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

}  // namespace

std::optional<double> cgroup_cpu_quota(const std::string& root) {
  std::optional<double> smallest;
  for (const auto& [directory, version] : cgroup_directories(root, "cpu", {"cpu", "cpu,cpuacct"})) {
    const auto quota = version == 2 ? quota_v2(directory) : quota_v1(directory);
    if (quota && (!smallest || *quota < *smallest)) smallest = quota;
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
