#pragma once
// PageTiers: all that keeps pages off the device: the host tier's memory, and the stores below it.
//
// Made at start from the options; outlives the cache that decides what lies where.

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "cache/kv_spec.h"
#include "engine/backend/backend.h"
#include "engine/tiers/host_pages.h"
#include "engine/tiers/options.h"
#include "engine/tiers/tier_store.h"

namespace quire::engine {

struct PageTiers {
  PageTiers(std::int32_t num_slots, std::int64_t page_bytes, std::int32_t pages_per_slot,
            std::shared_ptr<std::byte> memory)
      : host(num_slots, page_bytes, pages_per_slot, std::move(memory)) {}
  HostPages host;
  std::unique_ptr<TierStore> below;  // null: none
  cache::PageKey context;            // what all keys begin with
  double seconds_per_copy = 0.0;     // of one slot, to the pool
};

// Where the pages are that tiers copy: a layer of the pool (which one does not matter), not in use
// yet, and whose memory it is. The backend outlives the tiers.
struct TieredPool {
  Backend& backend;
  KvLayer any_layer;
};

// Null where no tier is asked for. `log` is told what there is, and why a store is not used (in use
// by another daemon, no room): serving goes on without it. Throws StartupError where memory is
// lacking.
[[nodiscard]] std::unique_ptr<PageTiers> make_page_tiers(
    const TierOptions& options, const cache::KvCacheSpec& spec, const cache::PageKey& context,
    const TieredPool& pool, const std::function<void(const std::string&)>& log);

}  // namespace quire::engine
