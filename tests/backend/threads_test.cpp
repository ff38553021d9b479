// The thread pool and the count of processors.

#include <chrono>

#include "engine/backend/cpu/cpu_count.h"
#include "engine/backend/cpu/thread_pool.h"

#include "tests/backend/fake_root.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine::cpu {
namespace {

TEST_CASE("every item runs once, on a worker that exists") {
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 2000; ++round) {
      const std::int64_t n = round % 23;
      std::vector<int> counts(static_cast<std::size_t>(n), 0);
      std::vector<std::int64_t> per_worker(static_cast<std::size_t>(threads), 0);
      pool.run(n, [&](const WorkItem& item) {
        ++counts[item.index];  // no lock: an item belongs to one worker
        ++per_worker[item.worker];
        if (item.next < item.index || item.next >= n) counts[item.index] = 100;
      });
      std::int64_t total = 0;
      for (const std::int64_t count : per_worker) total += count;
      REQUIRE(total == n);
      for (const int count : counts) REQUIRE(count == 1);
    }
  }
}

TEST_CASE("sleeping workers wake for the next job") {
  ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(2 * ThreadPool::kSpin);
    std::atomic<int> sum{0};
    pool.run(100, [&](const WorkItem& item) { sum += static_cast<int>(item.index); });
    REQUIRE(sum == 4950);
  }
}

TEST_CASE("a worker that is held up does not hold up the items it has not begun") {
  ThreadPool pool(2);
  // Item 0 waits until all others are done: that ends only if somebody else takes its worker's
  // range.
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> others{0};
    std::atomic<bool> first_began{false};
    pool.run(64, [&](const WorkItem& item) {
      if (item.index == 0) {
        first_began = true;
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (others < 63 && std::chrono::steady_clock::now() < deadline) {
          std::this_thread::yield();
        }
      } else {
        ++others;
      }
    });
    REQUIRE(first_began);
    REQUIRE(others == 63);
  }
}

TEST_CASE("the CPU quota of cgroup version 2 is the smallest of all ancestors") {
  const test::FakeRoot root;
  root.write("proc/self/cgroup", "0::/pods/one/container");
  REQUIRE_FALSE(cgroup_cpu_quota(root.path()));
  root.write("sys/fs/cgroup/pods/one/container/cpu.max", "max 100000");
  REQUIRE_FALSE(cgroup_cpu_quota(root.path()));
  root.write("sys/fs/cgroup/pods/one/container/cpu.max", "400000 100000");
  REQUIRE(cgroup_cpu_quota(root.path()) == 4.0);
  root.write("sys/fs/cgroup/pods/cpu.max", "150000 100000");
  REQUIRE(cgroup_cpu_quota(root.path()) == 1.5);
}

TEST_CASE("the CPU quota of a container whose path is not visible is read at the mount") {
  const test::FakeRoot root;
  root.write("proc/self/cgroup", "0::/");
  root.write("sys/fs/cgroup/cpu.max", "50000 100000");
  REQUIRE(cgroup_cpu_quota(root.path()) == 0.5);
}

TEST_CASE("the CPU quota of cgroup version 1") {
  const test::FakeRoot root;
  root.write("proc/self/cgroup",
             "12:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/");
  root.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1");
  root.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000");
  REQUIRE_FALSE(cgroup_cpu_quota(root.path()));
  root.write("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "250000");
  root.write("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us", "100000");
  REQUIRE(cgroup_cpu_quota(root.path()) == 2.5);
}

TEST_CASE("nonsense in the cgroup files is no quota") {
  const test::FakeRoot root;
  REQUIRE_FALSE(cgroup_cpu_quota(root.path()));
  root.write("proc/self/cgroup", "garbage\n0::relative\n:::");
  root.write("sys/fs/cgroup/cpu.max", "many few");
  REQUIRE_FALSE(cgroup_cpu_quota(root.path()));
  REQUIRE(available_cpus() >= 1);
}

}  // namespace
}  // namespace quire::engine::cpu
