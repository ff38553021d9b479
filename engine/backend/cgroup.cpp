#include "engine/backend/cgroup.h"

#include <fstream>
#include <sstream>

namespace quire::engine {
namespace {

// mount + path and every directory above it, down to the mount itself.
void add_tree(const std::string& mount, std::string path, int version,
              std::vector<CgroupDirectory>& directories) {
  for (;;) {
    while (path.ends_with('/')) path.pop_back();
    directories.push_back({mount + path, version});
    if (path.empty()) return;
    path.erase(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

// Whether a comma-separated list has the word.
bool names(const std::string& controllers, std::string_view controller) {
  std::istringstream list(controllers);
  for (std::string word; std::getline(list, word, ',');) {
    if (word == controller) return true;
  }
  return false;
}

}  // namespace

std::vector<CgroupDirectory> cgroup_directories(const std::string& root,
                                                std::string_view controller,
                                                std::initializer_list<std::string_view> v1_mounts) {
  const std::string base = root + "/sys/fs/cgroup";
  std::vector<CgroupDirectory> directories;
  const auto add_version2 = [&](const std::string& path) {
    add_tree(base, path, 2, directories);
    add_tree(base + "/unified", path, 2, directories);
  };
  const auto add_version1 = [&](const std::string& path) {
    for (const std::string_view mount : v1_mounts) {
      add_tree(base + "/" + std::string(mount), path, 1, directories);
    }
  };
  // The mounts themselves also where the process's path is not told.
  add_version2("");
  add_version1("");
  // Lines "hierarchy:controllers:path"; version 2 is "0::path".
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      add_version2(path);
    } else if (names(controllers, controller)) {
      add_version1(path);
    }
  }
  return directories;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace quire::engine
