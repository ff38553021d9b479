#include "engine/tiers/page_tiers.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "proto/error.h"

namespace quire::engine {
namespace {

using Log = std::function<void(const std::string&)>;

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

std::string in_mib(std::int64_t bytes) { return std::to_string(bytes / kMiB) + " MiB"; }

std::unique_ptr<DiskSlab> open_disk(const TierOptions& options, const RecordShape& shape,
                                    const Log& log) {
  if (options.disk_path.empty()) return nullptr;
  auto slab =
      DiskSlab::open({.folder = options.disk_path, .max_bytes = options.disk_size, .shape = shape});
  if (!slab) {
    log("no disk tier: " + slab.error().param + " " + slab.error().message);
    return nullptr;
  }
  log("disk tier: " + options.disk_path.string() + ", at most " + in_mib(options.disk_size) + ", " +
      std::to_string(slab.value()->num_records()) +
      " spans from before; prompts lie in it, readable by this user alone");
  return std::move(slab).value();
}

std::unique_ptr<RemoteStore> make_remote(const TierOptions& options, const RecordShape& shape,
                                         const Log& log) {
  if (!options.remote) return nullptr;
  log("remote tier: " + options.remote->host + ":" + std::to_string(options.remote->port));
  return std::make_unique<RemoteStore>(RemoteOptions{.address = *options.remote, .shape = shape});
}

// Of zeros, to a page of the pool that is zeros still.
double measure_copy(const HostPages& host, std::int32_t pages, const TieredPool& pool) {
  double best = std::numeric_limits<double>::max();
  for (int i = 0; i < 4; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    pool.backend.begin_step({});
    for (std::int32_t page = 0; page < pages; ++page) {
      pool.backend.copy_page_in(pool.any_layer, host.page(BlockId{page}), BlockId{0});
    }
    pool.backend.end_step();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    best = std::min(best, taken.count());
  }
  return best;
}

}  // namespace

std::unique_ptr<PageTiers> make_page_tiers(const TierOptions& options,
                                           const cache::KvCacheSpec& spec,
                                           const cache::PageKey& context, const TieredPool& pool,
                                           const Log& given_log) {
  const Log log = given_log ? given_log : [](const std::string&) {};
  const bool has_lower = !options.disk_path.empty() || options.remote.has_value();
  const std::int64_t memory =
      has_lower && options.host_memory == 0 ? TierOptions::kPassage : options.host_memory;
  if (memory <= 0) return nullptr;
  std::int32_t span = 0, pages = 0;
  for (const cache::KvGroupSpec& group : spec.groups) span = std::max(span, group.block_size);
  for (const cache::KvGroupSpec& group : spec.groups) pages += span / group.block_size;
  const std::int64_t slot_bytes = spec.page_bytes() * pages;
  const std::int64_t most = std::numeric_limits<std::int32_t>::max() / pages;
  const std::int64_t slots = std::min(memory / slot_bytes, most);
  if (slots < 1) {
    throw StartupError("--kv-host-memory: " + std::to_string(memory) +
                       " bytes hold no pages; those of " + std::to_string(span) + " tokens take " +
                       std::to_string(slot_bytes));
  }
  auto tiers = std::make_unique<PageTiers>(
      static_cast<std::int32_t>(slots), spec.page_bytes(), pages,
      pool.backend.allocate_host_pages(spec.page_bytes(), slots * pages));
  tiers->context = context;
  tiers->seconds_per_copy = measure_copy(tiers->host, pages, pool);
  log("host tier: " + in_mib(slots * slot_bytes) + ", " + std::to_string(slots) + " spans of " +
      std::to_string(span) + " tokens");
  const RecordShape shape{.span_tokens = static_cast<std::size_t>(span),
                          .page_bytes = static_cast<std::size_t>(slot_bytes)};
  auto disk = open_disk(options, shape, log);
  auto remote = make_remote(options, shape, log);
  if (disk != nullptr || remote != nullptr) {
    tiers->below = std::make_unique<TierStore>(tiers->host, std::move(disk), std::move(remote));
  }
  return tiers;
}

}  // namespace quire::engine
