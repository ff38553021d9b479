// quire plan: reads config.json and nothing else.

#include <cstdio>
#include <nlohmann/json.hpp>

#include "engine/memory.h"
#include "engine/memory_plan.h"
#include "engine/weights/json_file.h"
#include "server/commands/commands.h"
#include "server/commands/plan_report.h"
#include "server/model_folder.h"

namespace quire::server {
namespace {

std::filesystem::path config_file(const PlanConfig& config) {
  if (!config.config_json.empty()) return config.config_json;
  const auto folder = config.model.empty() ? find_default_model()
                                           : find_model_folder(config.model, hugging_face_home());
  return folder / "config.json";
}

}  // namespace

int run_plan(const PlanConfig& config) {
  const std::filesystem::path file = config_file(config);
  const auto json = engine::read_json_file(file);
  if (!json.ok()) throw StartupError(file.string() + ": " + json.error().message);
  const engine::ModelShape shape = engine::read_model_shape(*json, file.string());

  engine::PlanLimits limits = config.limits;
  limits.kv_dtype = config.kv_dtype.value_or(shape.dtype);
  if (limits.memory == 0) limits.memory = engine::available_memory();
  if (limits.max_model_len > shape.max_positions) {
    throw UsageError("--max-model-len: the model allows " + std::to_string(shape.max_positions));
  }
  const engine::MemoryPlan plan = engine::make_memory_plan(shape, limits);
  const std::string text =
      config.json ? plan_json(shape, limits, plan) : plan_text(shape, limits, plan);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace quire::server
