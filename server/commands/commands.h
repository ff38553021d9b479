#pragma once
// The subcommands. Each returns the process's exit status: 0 done, 1 failed. StartupError and
// UsageError are main's to catch.

#include "server/config.h"

namespace quire::server {

int run_serve(const ServeConfig& config);
int run_plan(const PlanConfig& config);
int run_health(const HealthConfig& config);

}  // namespace quire::server
