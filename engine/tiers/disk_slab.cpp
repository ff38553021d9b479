#include "engine/tiers/disk_slab.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string>
#include <system_error>
#include <utility>

namespace quire::engine {
namespace {

// The file's first page: says what its slots are. Padded with zeros.
struct FileHead {
  std::array<char, 8> magic = {'Q', 'U', 'I', 'R', 'E', 'F', 'S', '1'};
  std::uint64_t span_tokens = 0;
  std::uint64_t page_bytes = 0;
  std::uint64_t slot_bytes = 0;
  friend bool operator==(const FileHead&, const FileHead&) = default;
};
constexpr std::int64_t kFileHeadBytes = 4096;
constexpr std::int64_t kSlotAlignment = 4096;

std::int64_t slot_bytes_of(const RecordShape& shape) {
  const auto bytes = static_cast<std::int64_t>(shape.record_bytes());
  return (bytes + kSlotAlignment - 1) / kSlotAlignment * kSlotAlignment;
}

bool read_all(int file, std::span<std::byte> into, std::int64_t offset) {
  while (!into.empty()) {
    const ssize_t n = ::pread(file, into.data(), into.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    into = into.subspan(static_cast<std::size_t>(n));
    offset += n;
  }
  return true;
}

bool write_all(int file, std::span<const std::byte> from, std::int64_t offset) {
  while (!from.empty()) {
    const ssize_t n = ::pwrite(file, from.data(), from.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    from = from.subspan(static_cast<std::size_t>(n));
    offset += n;
  }
  return true;
}

Error cannot(const std::string& what, const std::filesystem::path& path) {
  return {ErrorCode::kUnavailable, what + ": " + std::generic_category().message(errno),
          path.string()};
}

// The file, ours alone, locked.
Result<int> open_file(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return cannot("cannot be opened", path);
  struct stat info {};
  const auto fail = [&](Error error) {
    ::close(file);
    return error;
  };
  if (::fstat(file, &info) != 0 || !S_ISREG(info.st_mode) || info.st_uid != ::geteuid()) {
    return fail({ErrorCode::kUnavailable, "is no file of this user", path.string()});
  }
  if (::fchmod(file, 0600) != 0) return fail(cannot("cannot be made private", path));
  if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    return fail({ErrorCode::kUnavailable, "is in use by another process", path.string()});
  }
  return file;
}

}  // namespace

Result<std::unique_ptr<DiskSlab>> DiskSlab::open(const DiskOptions& options) {
  const std::int64_t slots = (options.max_bytes - kFileHeadBytes) / slot_bytes_of(options.shape);
  if (slots < 1) {
    return Error{ErrorCode::kInvalidRequest,
                 "one record takes " + std::to_string(slot_bytes_of(options.shape)) +
                     " bytes: no room for it",
                 options.folder.string()};
  }
  std::error_code made;
  std::filesystem::create_directories(options.folder, made);
  Result<int> file = open_file(options.folder / "quire.pages");
  if (!file) return file.error();
  const auto most = std::int64_t{std::numeric_limits<std::int32_t>::max() / 4};
  return std::unique_ptr<DiskSlab>(
      new DiskSlab(file.value(), options, static_cast<std::int32_t>(std::min(slots, most))));
}

DiskSlab::DiskSlab(int file, const DiskOptions& options, std::int32_t num_slots)
    : file_(file),
      shape_(options.shape),
      slot_bytes_(slot_bytes_of(options.shape)),
      index_(num_slots, static_cast<std::int32_t>(options.shape.span_tokens)),
      record_(options.shape.record_bytes()) {
  prepare_file();
  scan();
}

DiskSlab::~DiskSlab() { ::close(file_); }

// A file whose slots are others (another model), or that is none of ours, starts over; one that is
// larger than it may be is cut.
void DiskSlab::prepare_file() {
  const FileHead wanted{.span_tokens = shape_.span_tokens,
                        .page_bytes = shape_.page_bytes,
                        .slot_bytes = static_cast<std::uint64_t>(slot_bytes_)};
  struct stat info {};
  if (::fstat(file_, &info) != 0) return;
  FileHead found;
  if (read_all(file_, std::as_writable_bytes(std::span(&found, 1)), 0) && found == wanted) {
    const std::int64_t most = offset_of(BlockId{index_.num_slots()});
    if (info.st_size > most && ::ftruncate(file_, most) != 0) TierCounters::add(counters_.failures);
    return;
  }
  if (info.st_size > 0) TierCounters::add(counters_.corrupt);
  std::vector<std::byte> head(static_cast<std::size_t>(kFileHeadBytes));
  std::memcpy(head.data(), &wanted, sizeof wanted);
  if (::ftruncate(file_, 0) != 0 || !write_all(file_, head, 0)) {
    TierCounters::add(counters_.failures);
  }
}

// The index from the heads, the oldest record first. Pages are checked when they are read.
void DiskSlab::scan() {
  struct Found {
    std::uint64_t stamp;
    BlockId slot;
    cache::PageKey key;
    std::vector<TokenId> tokens;
  };
  std::vector<Found> found;
  struct stat info {};
  if (::fstat(file_, &info) != 0) return;
  const auto head = std::span(record_).first(shape_.head_bytes());
  for (std::int32_t i = 0; i < index_.num_slots() && offset_of(BlockId{i}) < info.st_size; ++i) {
    if (!read_all(file_, head, offset_of(BlockId{i}))) continue;
    const std::optional<RecordHead> record = read_head(shape_, head);
    if (record) {
      found.push_back(
          {record->stamp, BlockId{i}, record->key, {record->tokens.begin(), record->tokens.end()}});
    } else if (std::ranges::any_of(head, [](std::byte b) { return b != std::byte{}; })) {
      TierCounters::add(counters_.corrupt);
    }
  }
  std::ranges::sort(found, {}, &Found::stamp);
  for (const Found& record : found) {
    const BlockId older = index_.find(record.key);
    if (older != kNoBlock) index_.discard(older);
    index_.restore(record.slot, record.key, record.tokens);
    last_stamp_ = record.stamp;
  }
}

std::int64_t DiskSlab::offset_of(BlockId slot) const {
  return kFileHeadBytes + static_cast<std::int64_t>(slot) * slot_bytes_;
}

bool DiskSlab::has(const cache::PageKey& key) const {
  const std::lock_guard lock(mutex_);
  return index_.find(key) != kNoBlock;
}

std::int32_t DiskSlab::num_records() const {
  const std::lock_guard lock(mutex_);
  return index_.num_used();
}

bool DiskSlab::is_paused() const { return std::chrono::steady_clock::now() < paused_until_; }

// Not found again, also not after a restart.
void DiskSlab::discard(BlockId slot) {
  {
    const std::lock_guard lock(mutex_);
    index_.discard(slot);
  }
  const std::vector<std::byte> zeros(shape_.head_bytes());
  if (!write_all(file_, zeros, offset_of(slot))) TierCounters::add(counters_.failures);
}

StoreOutcome DiskSlab::read(const cache::PageKey& key, std::span<const TokenId> tokens,
                            std::span<std::byte> pages) {
  BlockId slot = kNoBlock;
  {
    const std::lock_guard lock(mutex_);
    slot = index_.find(key);
    if (slot != kNoBlock) index_.touch(slot);
  }
  if (slot == kNoBlock) {
    TierCounters::add(counters_.misses);
    return StoreOutcome::kAbsent;
  }
  if (!read_all(file_, record_, offset_of(slot))) {
    TierCounters::add(counters_.failures);
    discard(slot);
    return StoreOutcome::kFailed;
  }
  const auto found = read_record(shape_, key, tokens, record_);
  if (found.empty()) {
    TierCounters::add(counters_.corrupt);
    discard(slot);
    return StoreOutcome::kCorrupt;
  }
  std::ranges::copy(found, pages.begin());
  TierCounters::add(counters_.hits);
  TierCounters::add(counters_.bytes_read, static_cast<std::int64_t>(record_.size()));
  return StoreOutcome::kDone;
}

StoreOutcome DiskSlab::write(const cache::PageKey& key, std::span<const TokenId> tokens,
                             std::span<const std::byte> pages) {
  BlockId slot = kNoBlock;
  {
    const std::lock_guard lock(mutex_);
    slot = index_.find(key);
    if (slot != kNoBlock) {
      index_.touch(slot);
      return StoreOutcome::kDone;
    }
    if (is_paused()) return StoreOutcome::kFailed;
    slot = index_.take(key, tokens);  // the only one that takes: never without a slot
  }
  write_record(shape_, {.stamp = ++last_stamp_, .key = key, .tokens = tokens}, pages, record_);
  const bool written = write_all(file_, record_, offset_of(slot));
  {
    const std::lock_guard lock(mutex_);
    written ? index_.arrived(slot, false) : index_.failed(slot);
  }
  if (!written) {
    TierCounters::add(counters_.failures);
    paused_until_ = std::chrono::steady_clock::now() + kPause;
    return StoreOutcome::kFailed;
  }
  TierCounters::add(counters_.writes);
  TierCounters::add(counters_.bytes_written, static_cast<std::int64_t>(record_.size()));
  return StoreOutcome::kDone;
}

}  // namespace quire::engine
