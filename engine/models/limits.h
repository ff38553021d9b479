#pragma once
// The ranges of config.json's sizes: wide enough for any published model, small enough that no
// product of them in a memory plan reaches 2^62: parameters stay below 2^58, and the keys and
// values of a token below 2^35 bytes, so those of a sequence below 2^61.

#include <cstdint>

namespace quire::engine {

inline constexpr std::int64_t kMaxVocabSize = std::int64_t{1} << 24;
inline constexpr std::int64_t kMaxHiddenSize = std::int64_t{1} << 18;
inline constexpr std::int64_t kMaxIntermediateSize = std::int64_t{1} << 22;
inline constexpr std::int64_t kMaxLayers = 1024;
inline constexpr std::int64_t kMaxHeads = 4096;
inline constexpr std::int64_t kMaxHeadDim = 1024;
inline constexpr std::int64_t kMaxPositionEmbeddings = std::int64_t{1} << 26;
inline constexpr std::int64_t kMaxExperts = std::int64_t{1} << 14;
inline constexpr std::int64_t kMaxExpertWidth = std::int64_t{1} << 26;  // of all experts of a layer

}  // namespace quire::engine
