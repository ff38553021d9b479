#include "engine/models/rope_config.h"

#include <string>

namespace quire::engine {
namespace {

constexpr double kMinFactor = 1e-3;
constexpr double kMaxFactor = 1e6;
constexpr double kMinTheta = 1.0;
constexpr double kMaxTheta = 1e12;
constexpr std::int64_t kMaxPositions = std::int64_t{1} << 26;

RopeParameters parse_object(const ConfigReader& rope, float theta, std::int32_t max_positions) {
  RopeParameters parameters{.theta = rope.number_or("rope_theta", kMinTheta, kMaxTheta, theta)};
  if (rope.number_or("partial_rotary_factor", 0.0, 1.0, 1.0f) != 1.0f) {
    rope.refuse("partial_rotary_factor", "is not supported unless it is 1");
  }
  const char* key = rope.has("rope_type") ? "rope_type" : "type";
  const std::string type = rope.string_or(key, "default");
  if (type == "default") return parameters;
  if (type != "linear" && type != "llama3") {
    rope.refuse(key, "is not supported (only default, linear and llama3 are)");
  }
  parameters.factor = rope.number("factor", kMinFactor, kMaxFactor);
  if (type == "linear") {
    parameters.scaling = RopeScaling::kLinear;
    return parameters;
  }
  parameters.scaling = RopeScaling::kLlama3;
  parameters.low_freq_factor = rope.number("low_freq_factor", kMinFactor, kMaxFactor);
  parameters.high_freq_factor = rope.number("high_freq_factor", kMinFactor, kMaxFactor);
  parameters.original_max_positions =
      rope.integer_or("original_max_position_embeddings", 1, kMaxPositions, max_positions);
  if (parameters.high_freq_factor <= parameters.low_freq_factor) {
    rope.refuse("high_freq_factor", "must be above low_freq_factor");
  }
  return parameters;
}

}  // namespace

RopeParameters parse_rope(const ConfigReader& config, std::int32_t max_position_embeddings) {
  const float theta = config.number_or("rope_theta", kMinTheta, kMaxTheta, 10000.0f);
  const auto parse = [&](const char* key) {
    return parse_object(config.object(key), theta, max_position_embeddings);
  };
  if (!config.has("rope_parameters")) {
    return config.has("rope_scaling") ? parse("rope_scaling") : RopeParameters{.theta = theta};
  }
  const RopeParameters parameters = parse("rope_parameters");
  if (config.has("rope_scaling") && parse("rope_scaling") != parameters) {
    config.refuse("rope_scaling", "contradicts rope_parameters");
  }
  return parameters;
}

}  // namespace quire::engine
