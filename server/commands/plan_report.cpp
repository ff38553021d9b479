#include "server/commands/plan_report.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "engine/memory.h"

namespace quire::server {
namespace {

using engine::HeadSharing;
using engine::size_text;

constexpr std::array<std::pair<HeadSharing, const char*>, 4> kSharings = {
    {{HeadSharing::kMha, "MHA"},
     {HeadSharing::kGqa, "GQA"},
     {HeadSharing::kMqa, "MQA"},
     {HeadSharing::kMla, "MLA"}}};

std::string_view dtype_text(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kFloat16:
      return "float16";
    case DType::kBFloat16:
      return "bfloat16";
    case DType::kInt8:
      return "int8";
    case DType::kFp8E4M3:
      return "fp8";
    case DType::kInt32:
      break;
  }
  return "int32";
}

std::string_view weights_text(const engine::ModelShape& shape, const engine::PlanLimits& limits) {
  return dtype_text(limits.int8_weights ? DType::kInt8 : shape.dtype);
}

void line(std::string& out, std::string_view name, const std::string& value) {
  out += name;
  out.append(name.size() < 18 ? 18 - name.size() : 1, ' ');
  out += value + '\n';
}

std::string parameters_text(std::int64_t count) {
  const char* unit = count >= 1'000'000'000 ? " billion" : " million";
  const double scaled = static_cast<double>(count) / (count >= 1'000'000'000 ? 1e9 : 1e6);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f", scaled);
  return text.data() + std::string(unit);
}

void append_groups(std::string& out, const engine::MemoryPlan& plan) {
  for (const cache::KvGroupSpec& group : plan.kv.groups) {
    std::string text = std::to_string(group.num_layers) + " layers, " +
                       std::to_string(group.block_size) + " tokens per block";
    if (group.kind == cache::AttentionKind::kSlidingWindow) {
      text += ", window of " + std::to_string(group.window) + " tokens";
    }
    if (group.kind == cache::AttentionKind::kLatent) text += ", latent";
    line(out, "  group", text);
  }
}

}  // namespace

std::string plan_text(const engine::ModelShape& shape, const engine::PlanLimits& limits,
                      const engine::MemoryPlan& plan) {
  std::string out;
  line(out, "model", shape.architecture + ", " + parameters_text(shape.parameters) + " parameters");
  line(out, "weights",
       size_text(plan.weight_bytes) + " (" + std::string(weights_text(shape, limits)) + ")");
  line(out, "workspace",
       size_text(plan.workspace_bytes) + " (steps of " +
           std::to_string(limits.max_num_batched_tokens) + " tokens, " +
           std::to_string(limits.max_num_seqs) + " sequences)");
  line(out, "KV cache",
       size_text(plan.bytes_per_token) + " per token (" + std::string(dtype_text(limits.kv_dtype)) +
           "), pages of " + size_text(plan.page_bytes));
  append_groups(out, plan);
  line(out, "one sequence",
       std::to_string(plan.max_model_len) + " tokens take " + size_text(plan.sequence_bytes));
  line(out, "memory",
       size_text(limits.memory) + ": " + std::to_string(plan.num_blocks) + " blocks, " +
           size_text(plan.num_blocks * plan.page_bytes));
  line(out, "longest context", std::to_string(plan.longest_context) + " tokens");
  line(out, "sequences",
       plan.fits() ? std::to_string(plan.num_sequences) + " of " +
                         std::to_string(plan.max_model_len) + " tokens at once"
                   : "none of " + std::to_string(plan.max_model_len) + " tokens: it does not fit");
  out += "the same model's cache at " + std::to_string(plan.max_model_len) + " tokens as\n";
  for (const auto& [sharing, name] : kSharings) {
    const std::int64_t bytes = engine::bytes_per_token(shape, sharing, limits.kv_dtype);
    line(out, std::string("  ") + name,
         size_text(bytes * plan.max_model_len) + " (" + size_text(bytes) + " per token)");
  }
  return out;
}

std::string plan_json(const engine::ModelShape& shape, const engine::PlanLimits& limits,
                      const engine::MemoryPlan& plan) {
  nlohmann::ordered_json out = {{"architecture", shape.architecture},
                                {"parameters", shape.parameters},
                                {"dtype", weights_text(shape, limits)},
                                {"kv_dtype", dtype_text(limits.kv_dtype)},
                                {"memory_bytes", limits.memory},
                                {"weight_bytes", plan.weight_bytes},
                                {"workspace_bytes", plan.workspace_bytes},
                                {"kv_bytes_per_token", plan.bytes_per_token},
                                {"page_bytes", plan.page_bytes},
                                {"num_blocks", plan.num_blocks},
                                {"max_model_len", plan.max_model_len},
                                {"sequence_bytes", plan.sequence_bytes},
                                {"longest_context", plan.longest_context},
                                {"num_sequences", plan.num_sequences},
                                {"fits", plan.fits()}};
  for (const cache::KvGroupSpec& group : plan.kv.groups) {
    out["groups"].push_back({{"layers", group.num_layers},
                             {"block_size", group.block_size},
                             {"window", group.window},
                             {"latent", group.kind == cache::AttentionKind::kLatent}});
  }
  for (const auto& [sharing, name] : kSharings) {
    out["kv_bytes_per_token_as"][name] = engine::bytes_per_token(shape, sharing, limits.kv_dtype);
  }
  return out.dump(2) + "\n";
}

}  // namespace quire::server
