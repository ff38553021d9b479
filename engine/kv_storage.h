#pragma once
// KvStorage: the memory behind the block ids, page-major:
// [page][layer of the group][part: K, V][kv_head][tile]. The tile's inner order is the backend's
// choice (Backend::layout_id); under int8 and fp8 a part ends with its scales (kv_format.h).
//
// Allocated once through the backend. Pages are zero at first, so nothing of another process or
// request is ever read; a page is written before it is read (attention never looks past
// context_len). Owner: the engine thread. touch_in_background() runs one helper thread that only
// faults pages in.

#include <atomic>
#include <cstdint>
#include <thread>

#include "cache/kv_spec.h"
#include "engine/backend/backend.h"

namespace quire::engine {

class KvStorage final {
 public:
  // The backend outlives the storage. Throws StartupError where the memory cannot be had.
  KvStorage(Backend& backend, const cache::KvCacheSpec& spec, std::int64_t num_blocks);
  ~KvStorage();
  KvStorage(const KvStorage&) = delete;
  KvStorage& operator=(const KvStorage&) = delete;

  // Faults the first `bytes` of the pool in now; the rest by a background thread at low priority.
  void touch(std::int64_t bytes_now);

  // Layer `layer` of group `group`, as kernels address it.
  [[nodiscard]] KvLayer layer(std::int32_t group, std::int32_t layer) const;
  [[nodiscard]] std::byte* page(BlockId block) const;
  [[nodiscard]] std::int64_t page_bytes() const { return page_bytes_; }
  [[nodiscard]] std::int64_t num_blocks() const { return num_blocks_; }
  [[nodiscard]] const cache::KvCacheSpec& spec() const { return spec_; }

 private:
  cache::KvCacheSpec spec_;
  std::int64_t page_bytes_;
  std::int64_t num_blocks_;
  DeviceBuffer memory_;
  std::atomic<bool> stop_touching_{false};
  std::thread toucher_;
};

}  // namespace quire::engine
