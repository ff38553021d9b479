#pragma once
// Where the kernel tells what this process's container may use.
//
// In a container a path may name directories of the host that are not visible: their files read as
// absent, which is no limit.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace quire::engine {

struct CgroupDirectory {
  std::string path;
  int version = 2;  // 1 or 2: their files differ
};

// The directories of the process's cgroup for `controller` ("cpu", "memory"), and of all above it
// up to the mounts, under the file system `root` ("" is the machine's own). v1_mounts: the names
// under which version 1 mounts the controller. Some may not exist, and one may be named twice.
[[nodiscard]] std::vector<CgroupDirectory> cgroup_directories(
    const std::string& root, std::string_view controller,
    std::initializer_list<std::string_view> v1_mounts);

// The first line of a file, empty where there is none.
[[nodiscard]] std::string first_line(const std::string& path);

}  // namespace quire::engine
