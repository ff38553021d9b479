// The memory that a container leaves: limits of cgroups under a file system made by hand.

#include "engine/memory.h"

#include "tests/backend/fake_root.h"

// After our headers: Catch's CHECK is the one that holds here.
#include <catch2/catch.hpp>

namespace quire::engine {
namespace {

// A root whose files are written by their paths.
std::optional<std::int64_t> limit_of(const test::FakeRoot& root) {
  return cgroup_memory_limit(root.path());
}

}  // namespace

TEST_CASE("memory limit: none is set") {
  const test::FakeRoot root;
  CHECK_FALSE(limit_of(root).has_value());
  root.write("proc/self/cgroup", "0::/user.slice/a.service");
  root.write("sys/fs/cgroup/user.slice/a.service/memory.max", "max");
  CHECK_FALSE(limit_of(root).has_value());
  CHECK(available_memory() >= 1);
}

TEST_CASE("memory limit: the smallest of the process's own group and those above it") {
  const test::FakeRoot root;
  root.write("proc/self/cgroup", "0::/kubepods/pod1/main");
  root.write("sys/fs/cgroup/kubepods/pod1/main/memory.max", "3000000");
  CHECK(limit_of(root) == 3000000);
  root.write("sys/fs/cgroup/kubepods/memory.max", "2000000");
  root.write("sys/fs/cgroup/kubepods/pod1/memory.max", "max");
  CHECK(limit_of(root) == 2000000);
  root.write("sys/fs/cgroup/kubepods/pod2/memory.max", "5");  // another's
  CHECK(limit_of(root) == 2000000);
  root.write("sys/fs/cgroup/memory.max", "1000000");  // a container sees its group as the root
  CHECK(limit_of(root) == 1000000);
}

TEST_CASE("memory limit: version 1, beside version 2") {
  const test::FakeRoot root;
  root.write("proc/self/cgroup",
             "5:cpu,cpuacct:/other\n4:hugetlb,memory:/docker/x\nnonsense\n0::/");
  root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
  root.write("sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "4000000");
  root.write("sys/fs/cgroup/memory/other/memory.limit_in_bytes", "5");
  CHECK(limit_of(root) == 4000000);
  root.write("sys/fs/cgroup/unified/memory.max", "3000000");
  CHECK(limit_of(root) == 3000000);
}

TEST_CASE("memory limit: a path that is not visible, or not told") {
  const test::FakeRoot root;
  root.write("sys/fs/cgroup/memory.max", "7000000");
  CHECK(limit_of(root) == 7000000);
  root.write("proc/self/cgroup", "0::/../../elsewhere/");
  CHECK(limit_of(root) == 7000000);
}

}  // namespace quire::engine
