// quire plan: its flags, and what it prints.

#include "engine/memory.h"
#include "server/commands/plan_report.h"
#include "server/config.h"

#include <nlohmann/json.hpp>

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::server {
namespace {

using nlohmann::json;

PlanConfig plan_of(std::vector<std::string> args) {
  args.insert(args.begin(), "plan");
  const Config config = parse_command_line(args, {});
  REQUIRE(config.command == Command::kPlan);
  return config.plan;
}

engine::ModelShape shape() {
  return engine::read_model_shape(json{{"architectures", {"LlamaForCausalLM"}},
                                       {"torch_dtype", "float16"},
                                       {"vocab_size", 32000},
                                       {"hidden_size", 4096},
                                       {"intermediate_size", 11008},
                                       {"num_hidden_layers", 32},
                                       {"num_attention_heads", 32},
                                       {"max_position_embeddings", 4096}},
                                  "config.json");
}

TEST_CASE("the flags of quire plan") {
  const PlanConfig plan = plan_of({"--config-json", "a.json", "--memory", "24GiB", "--json",
                                   "--max-model-len", "100", "--kv-cache-dtype", "int8"});
  CHECK(plan.config_json == "a.json");
  CHECK(plan.limits.memory == std::int64_t{24} << 30);
  CHECK(plan.limits.max_model_len == 100);
  CHECK(plan.kv_dtype == DType::kInt8);
  CHECK(plan.json);
  const PlanConfig limited = plan_of({"--kv-cache-memory", "2GiB", "--quantization", "int8"});
  CHECK(limited.limits.kv_cache_memory == std::int64_t{2} << 30);
  CHECK(limited.limits.int8_weights);
  CHECK_FALSE(plan_of({}).kv_dtype.has_value());
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"--memory", "much"},
                                             {"--memory", "0"},
                                             {"--kv-cache-memory", "x"},
                                             {"--quantization", "int2"},
                                             {"--max-num-seqs", "0"},
                                             {"--kv-cache-dtype", "int3"},
                                             {"--model", "a", "--config-json", "b"},
                                             {"--port", "1"}}) {
    CHECK_THROWS_AS(plan_of(wrong), UsageError);
  }
}

TEST_CASE("sizes are printed with three figures") {
  using engine::size_text;
  CHECK(size_text(1280) == "1280 B");
  CHECK(size_text(512 * 1024) == "512 KiB");
  CHECK(size_text(std::int64_t{2} << 30) == "2.00 GiB");
  CHECK(size_text(std::int64_t{25} << 29) == "12.5 GiB");
}

TEST_CASE("int8 weights are told as int8") {
  const engine::PlanLimits limits{.memory = std::int64_t{24} << 30, .int8_weights = true};
  const engine::MemoryPlan plan = engine::make_memory_plan(shape(), limits);
  CHECK(plan_text(shape(), limits, plan).find("6.59 GiB (int8)") != std::string::npos);
  CHECK(json::parse(plan_json(shape(), limits, plan)).at("dtype") == "int8");
}

TEST_CASE("the report says what the plan holds, as text and as JSON") {
  const engine::PlanLimits limits{.memory = std::int64_t{24} << 30, .kv_dtype = DType::kFloat16};
  const engine::MemoryPlan plan = engine::make_memory_plan(shape(), limits);
  const std::string text = plan_text(shape(), limits, plan);
  for (const char* part : {"6.74 billion parameters", "12.6 GiB (float16)", "512 KiB per token",
                           "pages of 8.00 MiB", "4096 tokens take 2.00 GiB", "MQA", "64.0 MiB"}) {
    INFO(text);
    CHECK(text.find(part) != std::string::npos);
  }
  const json out = json::parse(plan_json(shape(), limits, plan));
  CHECK(out.at("parameters") == 6738415616);
  CHECK(out.at("kv_bytes_per_token") == 524288);
  CHECK(out.at("kv_bytes_per_token_as").at("MQA") == 16384);
  CHECK(out.at("num_sequences") == plan.num_sequences);
  CHECK(out.at("fits") == true);

  const engine::PlanLimits small{.memory = 1 << 20, .kv_dtype = DType::kFloat16};
  CHECK(
      plan_text(shape(), small, engine::make_memory_plan(shape(), small)).find("it does not fit") !=
      std::string::npos);
}

}  // namespace
}  // namespace quire::server
