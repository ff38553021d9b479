#pragma once
// Reads how a model rotates from config.json.
//
// Two spellings of the same: "rope_theta" beside "rope_scaling" {"rope_type" or "type", ...}, and
// the newer "rope_parameters", which holds the theta as well. A type other than default, linear
// and llama3 is refused by name.

#include "engine/layers/rope.h"
#include "engine/models/config_reader.h"

namespace quire::engine {

[[nodiscard]] RopeParameters parse_rope(const ConfigReader& config,
                                        std::int32_t max_position_embeddings);

}  // namespace quire::engine
