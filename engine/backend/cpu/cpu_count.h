#pragma once
// How many threads this process may keep busy: the smaller of its CPU affinity and its container's
// CPU quota (cgroup v2 `cpu.max`, v1 `cpu.cfs_quota_us`; every ancestor counts), rounded down, at
// least 1. std::thread::hardware_concurrency knows nothing of quotas.

#include <optional>
#include <string>

namespace quire::engine::cpu {

[[nodiscard]] int available_cpus();

// The quota in CPUs under the file system `root` ("" is the machine's own): the smallest of the
// process's cgroup and its ancestors; nothing where none is set. For tests, and for
// available_cpus().
[[nodiscard]] std::optional<double> cgroup_cpu_quota(const std::string& root);

}  // namespace quire::engine::cpu
