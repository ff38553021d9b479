#include "engine/layers/rope.h"

#include <cmath>
#include <numbers>

namespace quire::engine {
namespace {

float scale_llama3(float frequency, const RopeParameters& rope) {
  const auto original = static_cast<float>(rope.original_max_positions);
  const float longest_kept = original / rope.high_freq_factor;
  const float shortest_divided = original / rope.low_freq_factor;
  const float wavelength = 2.0f * std::numbers::pi_v<float> / frequency;
  if (wavelength < longest_kept) return frequency;
  if (wavelength > shortest_divided) return frequency / rope.factor;
  const float smooth = (original / wavelength - rope.low_freq_factor) /
                       (rope.high_freq_factor - rope.low_freq_factor);
  return (1.0f - smooth) * frequency / rope.factor + smooth * frequency;
}

}  // namespace

std::vector<float> rope_frequencies(const RopeParameters& rope, std::int32_t rotary_dim) {
  std::vector<float> frequencies;
  for (std::int32_t i = 0; i < rotary_dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(rotary_dim);
    const float frequency = 1.0f / std::pow(rope.theta, exponent);
    switch (rope.scaling) {
      case RopeScaling::kDefault:
        frequencies.push_back(frequency);
        break;
      case RopeScaling::kLinear:
        frequencies.push_back(frequency / rope.factor);
        break;
      case RopeScaling::kLlama3:
        frequencies.push_back(scale_llama3(frequency, rope));
        break;
    }
  }
  return frequencies;
}

std::vector<float> rope_cos_sin(const RopeParameters& rope, std::int32_t rotary_dim,
                                std::int32_t positions) {
  const std::vector<float> frequencies = rope_frequencies(rope, rotary_dim);
  std::vector<float> table;
  table.reserve(static_cast<std::size_t>(positions) * static_cast<std::size_t>(rotary_dim));
  for (std::int32_t p = 0; p < positions; ++p) {
    for (const float f : frequencies) table.push_back(std::cos(static_cast<float>(p) * f));
    for (const float f : frequencies) table.push_back(std::sin(static_cast<float>(p) * f));
  }
  return table;
}

RotaryEmbedding::RotaryEmbedding(const RopeParameters& rope, std::int32_t rotary_dim,
                                 std::int32_t positions, Backend& backend)
    : rotary_dim_(rotary_dim) {
  const std::vector<float> table = rope_cos_sin(rope, rotary_dim, positions);
  const auto size = static_cast<std::int64_t>(table.size());
  const HostTensor view{.data = reinterpret_cast<const std::byte*>(table.data()),
                        .dtype = DType::kFloat32,
                        .rows = 1,
                        .cols = size,
                        .row_stride = size};
  memory_ = backend.prepare_vector({&view, 1});
}

}  // namespace quire::engine
