#pragma once
// Where the pages came from with which a sequence began instead of computing them.

#include <array>
#include <cstddef>
#include <cstdint>

namespace quire {

// memory: the device's own; others were copied there from where they lay.
enum class PageSource : std::uint8_t { kMemory, kHost, kDisk, kRemote };
inline constexpr std::array<const char*, 4> kPageSourceNames = {"memory", "host", "disk", "remote"};

// Tokens, by source.
struct ReusedTokens {
  std::array<std::int32_t, kPageSourceNames.size()> from{};

  [[nodiscard]] std::int32_t& operator[](PageSource source) {
    return from[static_cast<std::size_t>(source)];
  }
  friend bool operator==(const ReusedTokens&, const ReusedTokens&) = default;
};

}  // namespace quire
