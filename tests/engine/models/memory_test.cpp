// The memory that a container leaves: limits of cgroups under a file system made by hand.

#include "engine/memory.h"

#include "tests/engine/models/support.h"

// After our headers: Catch's CHECK is the one that holds here.
#include <catch2/catch.hpp>

namespace quire::engine {
namespace {

// A root whose files are written by their paths.
struct Root {
  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = folder.path() / path;
    std::filesystem::create_directories(file.parent_path());
    folder.write(path, text + "\n");
  }
  [[nodiscard]] std::optional<std::int64_t> limit() const {
    return cgroup_memory_limit(folder.path().string());
  }
  test::TempFolder folder;
};

}  // namespace

TEST_CASE("memory limit: none is set") {
  const Root root;
  CHECK_FALSE(root.limit().has_value());
  root.write("proc/self/cgroup", "0::/user.slice/a.service");
  root.write("sys/fs/cgroup/user.slice/a.service/memory.max", "max");
  CHECK_FALSE(root.limit().has_value());
  CHECK(available_memory() >= 1);
}

TEST_CASE("memory limit: the smallest of the process's own group and those above it") {
  const Root root;
  root.write("proc/self/cgroup", "0::/kubepods/pod1/main");
  root.write("sys/fs/cgroup/kubepods/pod1/main/memory.max", "3000000");
  CHECK(root.limit() == 3000000);
  root.write("sys/fs/cgroup/kubepods/memory.max", "2000000");
  root.write("sys/fs/cgroup/kubepods/pod1/memory.max", "max");
  CHECK(root.limit() == 2000000);
  root.write("sys/fs/cgroup/kubepods/pod2/memory.max", "5");  // another's
  CHECK(root.limit() == 2000000);
  root.write("sys/fs/cgroup/memory.max", "1000000");  // a container sees its group as the root
  CHECK(root.limit() == 1000000);
}

TEST_CASE("memory limit: version 1, beside version 2") {
  const Root root;
  root.write("proc/self/cgroup",
             "5:cpu,cpuacct:/other\n4:hugetlb,memory:/docker/x\nnonsense\n0::/");
  root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
  root.write("sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "4000000");
  root.write("sys/fs/cgroup/memory/other/memory.limit_in_bytes", "5");
  CHECK(root.limit() == 4000000);
  root.write("sys/fs/cgroup/unified/memory.max", "3000000");
  CHECK(root.limit() == 3000000);
}

TEST_CASE("memory limit: a path that is not visible, or not told") {
  const Root root;
  root.write("sys/fs/cgroup/memory.max", "7000000");
  CHECK(root.limit() == 7000000);
  root.write("proc/self/cgroup", "0::/../../elsewhere/");
  CHECK(root.limit() == 7000000);
}

}  // namespace quire::engine
