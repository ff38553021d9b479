#pragma once
// The ranges of config.json's sizes: wide enough for any published model, small enough that no
// product of them overflows 64 bits.

#include <cstdint>

namespace quire::engine {

inline constexpr std::int64_t kMaxVocabSize = std::int64_t{1} << 24;
inline constexpr std::int64_t kMaxHiddenSize = std::int64_t{1} << 18;
inline constexpr std::int64_t kMaxIntermediateSize = std::int64_t{1} << 22;
inline constexpr std::int64_t kMaxLayers = 4096;
inline constexpr std::int64_t kMaxHeads = 4096;
inline constexpr std::int64_t kMaxHeadDim = 1024;
inline constexpr std::int64_t kMaxPositionEmbeddings = std::int64_t{1} << 26;

}  // namespace quire::engine
