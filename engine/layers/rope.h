#pragma once
// RopeParameters: which angles a model rotates by, and the table of their cosines and sines.
//
// angle(p, i) = p * frequency(i), frequency(i) = theta^(-2i / rotary_dim), scaled:
//   kDefault  not at all
//   kLinear   divided by `factor` (position interpolation)
//   kLlama3   long wavelengths divided by `factor`, short ones kept, those between interpolated
// All in float32 and in the order of the published implementation: at position 100,000 a frequency
// that differs in its last bit turns by 0.006, which would show in the logits.

#include <cstdint>
#include <vector>

#include "engine/backend/backend.h"

namespace quire::engine {

enum class RopeScaling : std::uint8_t { kDefault, kLinear, kLlama3 };

struct RopeParameters {
  RopeScaling scaling = RopeScaling::kDefault;
  float theta = 10000.0f;
  float factor = 1.0f;                         // kLinear, kLlama3
  float low_freq_factor = 1.0f;                // kLlama3
  float high_freq_factor = 4.0f;               // kLlama3
  std::int32_t original_max_positions = 8192;  // kLlama3

  friend bool operator==(const RopeParameters&, const RopeParameters&) = default;
};

// [rotary_dim / 2]
[[nodiscard]] std::vector<float> rope_frequencies(const RopeParameters& rope,
                                                  std::int32_t rotary_dim);
// Row p of the result, [positions, rotary_dim]: the cosines at position p, then the sines.
[[nodiscard]] std::vector<float> rope_cos_sin(const RopeParameters& rope, std::int32_t rotary_dim,
                                              std::int32_t positions);

// The table in the backend's memory.
class RotaryEmbedding final {
 public:
  RotaryEmbedding(const RopeParameters& rope, std::int32_t rotary_dim, std::int32_t positions,
                  Backend& backend);
  [[nodiscard]] RopeTable table() const {
    return {.cos_sin = static_cast<const float*>(memory_.data()), .rotary_dim = rotary_dim_};
  }
  [[nodiscard]] std::int64_t bytes() const { return memory_.bytes(); }

 private:
  std::int32_t rotary_dim_;
  DeviceBuffer memory_;
};

}  // namespace quire::engine
