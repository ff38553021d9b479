// DiskSlab: survives a restart; never hands out what is wrong; never larger than it may be.

#include "engine/tiers/disk_slab.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>

#include "tests/engine/tiers/records.h"

namespace quire::engine {
namespace {

constexpr std::int64_t kSlot = 8192;  // a record of kShape, aligned
constexpr std::int64_t kHead = 4096;

std::unique_ptr<DiskSlab> open_slab(const Folder& folder, std::int64_t slots = 8) {
  auto slab =
      DiskSlab::open({.folder = folder.path, .max_bytes = kHead + slots * kSlot, .shape = kShape});
  REQUIRE(slab.ok());
  return std::move(slab).value();
}

StoreOutcome put(DiskSlab& slab, const Span& span) {
  return slab.write(span.key, span.tokens, span.pages);
}

StoreOutcome get(DiskSlab& slab, const Span& span) {
  std::vector<std::byte> pages(kShape.page_bytes);
  const StoreOutcome outcome = slab.read(span.key, span.tokens, pages);
  if (outcome == StoreOutcome::kDone) CHECK(std::ranges::equal(pages, span.pages));
  return outcome;
}

std::filesystem::path file_of(const Folder& folder) { return folder.path / "quire.pages"; }

void flip(const Folder& folder, std::int64_t offset) {
  std::fstream file(file_of(folder), std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(offset);
  const auto byte = static_cast<char>(file.get());
  file.seekp(offset);
  file.put(static_cast<char>(byte ^ 1));
}

}  // namespace

TEST_CASE("what was written is there after a restart") {
  const Folder folder;
  {
    const auto slab = open_slab(folder);
    for (int n = 0; n < 5; ++n) REQUIRE(put(*slab, Span(n)) == StoreOutcome::kDone);
    CHECK(get(*slab, Span(9)) == StoreOutcome::kAbsent);
  }
  const auto slab = open_slab(folder);
  CHECK(slab->num_records() == 5);
  for (int n = 0; n < 5; ++n) {
    CHECK(slab->has(Span(n).key));
    CHECK(get(*slab, Span(n)) == StoreOutcome::kDone);
  }
  CHECK(slab->counters().counts().hits == 5);
  CHECK(slab->counters().counts().corrupt == 0);
}

TEST_CASE("the least recently used record makes room") {
  const Folder folder;
  const auto slab = open_slab(folder, 3);
  for (int n = 0; n < 3; ++n) REQUIRE(put(*slab, Span(n)) == StoreOutcome::kDone);
  REQUIRE(get(*slab, Span(0)) == StoreOutcome::kDone);
  REQUIRE(put(*slab, Span(3)) == StoreOutcome::kDone);
  CHECK(get(*slab, Span(0)) == StoreOutcome::kDone);
  CHECK(get(*slab, Span(1)) == StoreOutcome::kAbsent);
  CHECK(std::filesystem::file_size(file_of(folder)) <= kHead + 3 * kSlot);
}

TEST_CASE("a smaller size cuts the file and keeps what is left") {
  const Folder folder;
  {
    const auto slab = open_slab(folder, 8);
    for (int n = 0; n < 8; ++n) REQUIRE(put(*slab, Span(n)) == StoreOutcome::kDone);
  }
  const auto slab = open_slab(folder, 2);
  CHECK(slab->num_records() == 2);
  CHECK(std::filesystem::file_size(file_of(folder)) <= kHead + 2 * kSlot);
}

TEST_CASE("a flipped byte anywhere is a miss, counted, and gone after it") {
  const Folder folder;
  std::int64_t misses = 0;
  for (const std::int64_t at : {std::int64_t{0}, std::int64_t{20}, std::int64_t{130},
                                std::int64_t{400}, std::int64_t{5100}}) {
    std::filesystem::remove(file_of(folder));
    REQUIRE(put(*open_slab(folder), Span(1)) == StoreOutcome::kDone);
    flip(folder, kHead + at);
    const auto slab = open_slab(folder);
    CHECK(get(*slab, Span(1)) != StoreOutcome::kDone);
    CHECK(get(*slab, Span(1)) == StoreOutcome::kAbsent);
    CHECK(slab->counters().counts().corrupt == 1);
    CHECK(put(*slab, Span(1)) == StoreOutcome::kDone);
    CHECK(get(*slab, Span(1)) == StoreOutcome::kDone);
    ++misses;
  }
  CHECK(misses == 5);
}

TEST_CASE("a file that was cut is read as far as it goes") {
  const Folder folder;
  {
    const auto slab = open_slab(folder);
    for (int n = 0; n < 4; ++n) REQUIRE(put(*slab, Span(n)) == StoreOutcome::kDone);
  }
  const auto whole = static_cast<std::int64_t>(std::filesystem::file_size(file_of(folder)));
  for (std::int64_t size = whole; size >= 0; size -= 1777) {
    std::filesystem::resize_file(file_of(folder), static_cast<std::uintmax_t>(size));
    const auto slab = open_slab(folder);
    for (int n = 0; n < 4; ++n) {
      const bool is_whole =
          size >= kHead + n * kSlot + static_cast<std::int64_t>(kShape.record_bytes());
      const StoreOutcome outcome = get(*slab, Span(n));
      if ((outcome == StoreOutcome::kDone) != is_whole) FAIL("size " << size << ", record " << n);
    }
  }
}

TEST_CASE("foreign files start over") {
  const Folder folder;
  std::ofstream(file_of(folder), std::ios::binary) << std::string(50000, 'x');
  {
    const auto slab = open_slab(folder);
    CHECK(slab->num_records() == 0);
    CHECK(slab->counters().counts().corrupt == 1);
    CHECK(put(*slab, Span(1)) == StoreOutcome::kDone);
  }
  // Another model's.
  auto other = DiskSlab::open({.folder = folder.path,
                               .max_bytes = 1 << 20,
                               .shape = {.span_tokens = 4, .page_bytes = 9000}});
  REQUIRE(other.ok());
  CHECK(other.value()->num_records() == 0);
  CHECK(other.value()->counters().counts().corrupt == 1);
}

TEST_CASE("the file is its owner's alone, and one process's at a time") {
  const Folder folder;
  const auto slab = open_slab(folder);
  struct stat info {};
  REQUIRE(::stat(file_of(folder).c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  const auto second =
      DiskSlab::open({.folder = folder.path, .max_bytes = 1 << 20, .shape = kShape});
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().message.find("in use") != std::string::npos);
  CHECK_FALSE(DiskSlab::open({.folder = folder.path, .max_bytes = 100, .shape = kShape}).ok());
}

TEST_CASE("no room on the disk is counted, and what is there is still read") {
  const Folder folder;
  const auto slab = open_slab(folder);
  REQUIRE(put(*slab, Span(1)) == StoreOutcome::kDone);
  // A limit on file sizes fails a write as a full disk does.
  struct rlimit before {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(kHead + kSlot + 100);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
  CHECK(put(*slab, Span(2)) == StoreOutcome::kFailed);
  CHECK(put(*slab, Span(3)) == StoreOutcome::kFailed);  // not even tried for a while
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, old_handler);
  CHECK(slab->counters().counts().failures == 1);
  CHECK(get(*slab, Span(1)) == StoreOutcome::kDone);
  CHECK(get(*slab, Span(2)) == StoreOutcome::kAbsent);
}

}  // namespace quire::engine
