#include "engine/kv_storage.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "proto/error.h"

namespace quire::engine {
namespace {

constexpr std::int64_t kHostPage = 4096;
// Between two looks at the stop flag: under 10 ms at the slowest first touch that was measured.
constexpr std::int64_t kTouchChunk = std::int64_t{4} << 20;

std::int64_t pool_bytes(std::int64_t page_bytes, std::int64_t num_blocks) {
  std::int64_t bytes = 0;
  if (num_blocks < 1 || __builtin_mul_overflow(page_bytes, num_blocks, &bytes)) {
    throw StartupError("KV cache: the pool's size is out of range");
  }
  return bytes;
}

// Adding 0 with one atomic instruction: faults the page in as the system call would, and loses no
// write of the engine thread that comes between.
__attribute__((no_sanitize("thread"))) void touch_by_hand(std::byte* begin, std::int64_t bytes) {
  for (std::int64_t at = 0; at < bytes; at += kHostPage) {
    __atomic_fetch_or(reinterpret_cast<unsigned char*>(begin + at), 0, __ATOMIC_RELAXED);
  }
}

// Faults pages in without changing them, so that it may run while the engine writes. Memory that is
// not the host's own (a device's) is left alone: the call refuses it.
void fault_in(std::byte* begin, std::int64_t bytes) {
  if (bytes <= 0) return;
  const int result = ::madvise(begin, static_cast<std::size_t>(bytes), MADV_POPULATE_WRITE);
  if (result != 0 && errno == EINVAL) touch_by_hand(begin, bytes);  // a kernel before 5.14
}

void lower_own_priority() {
  const auto thread = static_cast<id_t>(::syscall(SYS_gettid));
  ::setpriority(PRIO_PROCESS, thread, 19);  // best effort
}

}  // namespace

KvStorage::KvStorage(Backend& backend, const cache::KvCacheSpec& spec, std::int64_t num_blocks)
    : spec_(spec),
      page_bytes_(spec.page_bytes()),
      num_blocks_(num_blocks),
      memory_(backend.allocate(pool_bytes(page_bytes_, num_blocks))) {}

KvStorage::~KvStorage() {
  stop_touching_.store(true, std::memory_order_relaxed);
  if (toucher_.joinable()) toucher_.join();
}

void KvStorage::touch(std::int64_t bytes_now) {
  CHECK(!toucher_.joinable());
  auto* const pool = static_cast<std::byte*>(memory_.data());
  const std::int64_t total = page_bytes_ * num_blocks_;
  const std::int64_t now = std::clamp<std::int64_t>(bytes_now, 0, total) / kHostPage * kHostPage;
  fault_in(pool, now);
  if (now == total) return;
  toucher_ = std::thread([this, pool, now, total] {
    lower_own_priority();
    for (std::int64_t at = now; at < total; at += kTouchChunk) {
      if (stop_touching_.load(std::memory_order_relaxed)) return;
      fault_in(pool + at, std::min(kTouchChunk, total - at));
    }
  });
}

KvLayer KvStorage::layer(std::int32_t group, std::int32_t layer) const {
  const cache::KvGroupSpec& g = spec_.groups[static_cast<std::size_t>(group)];
  CHECK(layer >= 0 && layer < g.num_layers);
  return {.pool = static_cast<std::byte*>(memory_.data()),
          .page_bytes = page_bytes_,
          .layer_offset = layer * g.layer_bytes(),
          .part_bytes = g.part_bytes(),
          .block_size = g.block_size,
          .num_kv_heads = g.num_kv_heads,
          .head_dim = g.head_dim,
          .dtype = g.dtype};
}

std::byte* KvStorage::page(BlockId block) const {
  const auto index = static_cast<std::int64_t>(block);
  CHECK(index >= 0 && index < num_blocks_);
  return static_cast<std::byte*>(memory_.data()) + index * page_bytes_;
}

}  // namespace quire::engine
