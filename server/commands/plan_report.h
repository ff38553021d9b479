#pragma once
// What `quire plan` prints: a table for people, or JSON for programs.

#include <string>

#include "engine/memory_plan.h"

namespace quire::server {

[[nodiscard]] std::string plan_text(const engine::ModelShape& shape,
                                    const engine::PlanLimits& limits,
                                    const engine::MemoryPlan& plan);
[[nodiscard]] std::string plan_json(const engine::ModelShape& shape,
                                    const engine::PlanLimits& limits,
                                    const engine::MemoryPlan& plan);

}  // namespace quire::server
