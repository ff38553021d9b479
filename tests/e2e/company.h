#pragma once
// Runs requests on an engine: one after the other, or many at a time in random order while others
// come and go.

#include <cstdint>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "tests/e2e/request_mix.h"

namespace quire::e2e {

// Each request by itself, in order. Throws std::runtime_error where one is refused.
[[nodiscard]] std::vector<RequestRecord> run_alone(
    engine::Engine& engine, std::span<const engine::GenerationRequest> requests);

struct Company {
  int at_a_time = 64;
  int disturbers = 4;  // clients that submit requests of the mix and go away before their end
  std::uint64_t seed = 1;
};

struct CompanyResult {
  std::vector<RequestRecord> records;  // in the order of the requests
  std::int64_t num_left = 0;           // requests that a disturber left
};

[[nodiscard]] CompanyResult run_in_company(engine::Engine& engine,
                                           std::span<const engine::GenerationRequest> requests,
                                           const Company& company);

}  // namespace quire::e2e
