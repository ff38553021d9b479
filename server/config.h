#pragma once
// The command line, the environment and the config file: the only place that reads them.
//
// `quire serve` takes each setting from its flag, else from QUIRE_<FLAG>, else from the config file
// (`name = value` lines), else its default. Unknown flags, QUIRE_* variables and keys are refused;
// variables by which an orchestrator tells of its services (QUIRE_SERVICE_HOST and such) are not
// read. Errors are UsageError: exit status 2.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/memory_plan.h"
#include "engine/options.h"
#include "proto/error.h"
#include "server/http.h"
#include "server/listener.h"
#include "server/log.h"

namespace quire::server {

class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct ServeConfig {
  std::string model;  // a folder or ORG/NAME of the Hugging Face cache; empty: the default model
  std::string served_model_name;  // empty: from the model
  std::string chat_template;      // a file; empty: the model's own
  engine::EngineOptions engine;
  ListenerOptions listener;
  HttpLimits http;
  std::string api_key_file;
  std::string cache_secret_file;
  int max_concurrent_per_key = 0;
  std::string ssl_certfile, ssl_keyfile;  // both or none
  std::optional<std::uint16_t> metrics_port;
  bool log_content = false;
  bool insecure_no_auth = false;
  std::vector<std::string> allowed_origins;
  bool use_generation_config = true;
  std::chrono::milliseconds shutdown_timeout = std::chrono::seconds(30);
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;

  // Every setting with its value and where it comes from ("flag", "environment", "file",
  // "default"); no secret is among them.
  struct Setting {
    std::string name, value, origin;
  };
  std::vector<Setting> effective;
};

struct HealthConfig {
  std::string url = "http://127.0.0.1:8000";
};

struct PlanConfig {
  std::string model;              // as in ServeConfig; empty: the default model
  std::string config_json;        // a config.json instead of a folder
  engine::PlanLimits limits;      // memory 0: what this machine has
  std::optional<DType> kv_dtype;  // absent: the weights' own
  bool json = false;
};

enum class Command : std::uint8_t { kServe, kPlan, kBench, kHealth, kPrinted };

struct Config {
  Command command = Command::kPrinted;  // kPrinted: help or version was asked for
  std::string printed;
  ServeConfig serve;
  PlanConfig plan;
  HealthConfig health;
  std::vector<std::string> bench_args;  // what follows `bench`
};

using Environment = std::map<std::string, std::string>;
[[nodiscard]] Environment process_environment();

// Throws UsageError.
[[nodiscard]] Config parse_command_line(const std::vector<std::string>& args,
                                        const Environment& environment);

// "4GiB", "512MiB", "100MB", "1024"; "30s", "500ms", "2m", "30".
[[nodiscard]] std::optional<std::int64_t> parse_size(std::string_view text);
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

}  // namespace quire::server
