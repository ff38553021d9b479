#pragma once
// Where pages live off the device. Filled by server/config.

#include <cstdint>
#include <filesystem>
#include <optional>

#include "cache/tier_cost.h"
#include "engine/tiers/remote_address.h"

namespace quire::engine {

struct TierOptions {
  // Bytes of host memory for pages. 0: none, unless there is a lower tier, which passes its pages
  // through kPassage.
  std::int64_t host_memory = 0;
  // A folder for the file of pages; empty: none. PROMPTS LIE IN IT, as tokens and as pages.
  std::filesystem::path disk_path;
  std::int64_t disk_size = std::int64_t{10} << 30;  // bytes; the most that the file takes
  // A Valkey or Redis server that replicas share; absent: none.
  std::optional<RemoteAddress> remote;
  // Tests force what is otherwise decided by measured rates.
  cache::ReadPolicy read_policy = cache::ReadPolicy::kCheaper;

  // Enough for what is on its way to and from a disk at once.
  static constexpr std::int64_t kPassage = std::int64_t{64} << 20;  // bytes
};

}  // namespace quire::engine
