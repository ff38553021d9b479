// Command line, environment and config file: precedence, refusals, values.

#include "server/commands/commands.h"
#include "server/config.h"
#include "server/settings.h"

#include <unistd.h>

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace quire::server {
namespace {

using namespace std::chrono_literals;

Config parse(std::vector<std::string> args, Environment environment = {}) {
  return parse_command_line(args, environment);
}
ServeConfig serve(std::vector<std::string> args, Environment environment = {}) {
  args.insert(args.begin(), "serve");
  Config config = parse(std::move(args), std::move(environment));
  REQUIRE(config.command == Command::kServe);
  return config.serve;
}

class ConfigFile final {
 public:
  explicit ConfigFile(const std::string& text)
      : path_(std::filesystem::temp_directory_path() /
              ("quire-config-" + std::to_string(++count_) + "-" + std::to_string(::getpid()))) {
    std::ofstream(path_) << text;
  }
  ~ConfigFile() { std::filesystem::remove(path_); }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  static inline int count_ = 0;
  std::filesystem::path path_;
};

TEST_CASE("flags over environment over file over default") {
  const ConfigFile file("# a comment\nport = 1111\nmax-num-seqs= 7\n\nlog-level =\"debug\"\n");
  const Environment environment{{"QUIRE_PORT", "2222"}, {"QUIRE_CONFIG", file.path()}};
  CHECK(serve({}).listener.port == 8000);
  CHECK(serve({"--config", file.path()}).listener.port == 1111);
  CHECK(serve({}, environment).listener.port == 2222);
  const ServeConfig all = serve({"--port", "3333"}, environment);
  CHECK(all.listener.port == 3333);
  CHECK(all.engine.scheduler.max_num_seqs == 7);
  CHECK(all.log_level == LogLevel::kDebug);
  for (const ServeConfig::Setting& setting : all.effective) {
    if (setting.name == "port") CHECK(setting.origin == "flag");
    if (setting.name == "max-num-seqs") CHECK(setting.origin == "file");
    if (setting.name == "host") CHECK(setting.origin == "default");
  }
}

TEST_CASE("every setting is taken from all three places") {
  const std::map<std::string, std::string> values{{"host", "127.0.0.2"},
                                                  {"device", "cpu"},
                                                  {"dtype", "float32"},
                                                  {"kv-cache-memory", "1MiB"},
                                                  {"generation-config", "none"},
                                                  {"shutdown-timeout", "5s"},
                                                  {"write-stall-timeout", "10s"},
                                                  {"max-body-size", "1MiB"},
                                                  {"log-level", "error"},
                                                  {"log-format", "json"},
                                                  {"allowed-origins", "https://a.test"},
                                                  {"quantization", "int8"},
                                                  {"kv-cache-dtype", "fp8"},
                                                  {"kv-disk-size", "1GiB"},
                                                  {"kv-remote-url", "redis://127.0.0.1:6379"},
                                                  {"gpu-memory-utilization", "0.5"}};
  for (const SettingSpec& spec : serve_settings()) {
    const std::string name(spec.name);
    INFO(name);
    const auto it = values.find(name);
    const std::string value =
        it != values.end() ? it->second : (spec.metavar.empty() ? "true" : "9");
    const ConfigFile file(name + " = " + value + "\n");
    const auto shown = [&](const ServeConfig& config) {
      for (const auto& setting : config.effective) {
        if (setting.name == name) return setting.value + " " + setting.origin;
      }
      return std::string("not there");
    };
    std::vector<std::string> flag{"--" + name};
    if (!spec.metavar.empty()) flag.push_back(value);
    CHECK(shown(serve(flag)) == value + " flag");
    CHECK(shown(serve({}, {{environment_name(name), value}})) == value + " environment");
    CHECK(shown(serve({"--config", file.path()})) == value + " file");
  }
}

TEST_CASE("values reach their options") {
  const ServeConfig config = serve({"--kv-cache-memory", "2GiB", "--no-kv-cache", "--max-model-len",
                                    "100", "--dtype", "bfloat16", "--shutdown-timeout", "1500ms",
                                    "--allowed-origins", "https://a.test,http://b.test:81",
                                    "--generation-config", "none", "--insecure-no-auth"});
  CHECK(config.engine.kv_cache_memory == std::int64_t{2} << 30);
  CHECK_FALSE(config.engine.use_kv_cache);
  CHECK(config.engine.max_model_len == 100);
  CHECK(config.engine.dtype == DType::kBFloat16);
  CHECK(config.shutdown_timeout == 1500ms);
  CHECK(config.allowed_origins == std::vector<std::string>{"https://a.test", "http://b.test:81"});
  CHECK_FALSE(config.use_generation_config);
  CHECK(config.insecure_no_auth);
  CHECK_FALSE(serve({}, {{"QUIRE_NO_KV_CACHE", "true"}}).engine.use_kv_cache);
  CHECK(serve({}, {{"QUIRE_NO_KV_CACHE", "0"}}).engine.use_kv_cache);
}

TEST_CASE("what is wrong is refused") {
  const std::vector<std::vector<std::string>> bad{
      {},
      {"fly"},
      {"plan", "--nonsense"},
      {"serve", "--nonsense"},
      {"serve", "--port"},
      {"serve", "--port", "65536"},
      {"serve", "--port", "-1"},
      {"serve", "--port", "80x"},
      {"serve", "--port", ""},
      {"serve", "--max-num-seqs", "0"},
      {"serve", "--max-num-seqs", "1e3"},
      {"serve", "--max-num-seqs", "99999999999999999999"},
      {"serve", "--kv-cache-memory", "lots"},
      {"serve", "--kv-cache-memory", "-1GiB"},
      {"serve", "--kv-cache-memory", "99999999TiB"},
      {"serve", "--device", "tpu"},
      {"serve", "--gpu-memory-utilization", "1.5"},
      {"serve", "--dtype", "int3"},
      {"serve", "--log-level", "loud"},
      {"serve", "--shutdown-timeout", "soon"},
      {"serve", "--write-stall-timeout", "0s"},
      {"serve", "--allowed-origins", "*"},
      {"serve", "--allowed-origins", "https://a.test/"},
      {"serve", "--allowed-origins", "https://A.test"},
      {"serve", "--allowed-origins", "https://"},
      {"serve", "--allowed-origins", "null"},
      {"serve", "--max-concurrent-per-key", "-1"},
      {"serve", "--metrics-port", "65536"},
      {"serve", "--config", "/nonexistent/file"},
      {"serve", "extra"},
      {"health", "--nonsense"}};
  for (const auto& args : bad) {
    INFO(args.size() << " " << (args.empty() ? "" : args.back()));
    CHECK_THROWS_AS(parse(args), UsageError);
  }
  CHECK_THROWS_AS(serve({}, {{"QUIRE_NONSENSE", "1"}}), UsageError);
  CHECK_THROWS_AS(serve({}, {{"QUIRE_PORT", "x"}}), UsageError);
  CHECK_THROWS_AS(serve({}, {{"QUIRE_NO_KV_CACHE", "maybe"}}), UsageError);
  for (const char* text : {"nonsense = 1\n", "port\n", "port = 1\nport = 2\n", "port = x\n",
                           "[serve]\nport = 1\n", "config = /tmp/other\n"}) {
    INFO(text);
    const ConfigFile file(text);
    CHECK_THROWS_AS(serve({"--config", file.path()}), UsageError);
  }
}

TEST_CASE("an orchestrator's variables about its services are not settings") {
  const Environment links{{"QUIRE_SERVICE_HOST", "10.0.0.1"},
                          {"QUIRE_SERVICE_PORT", "8000"},
                          {"QUIRE_SERVICE_PORT_HTTP", "8000"},
                          {"QUIRE_PORT", "tcp://10.0.0.1:8000"},
                          {"QUIRE_PORT_8000_TCP", "tcp://10.0.0.1:8000"},
                          {"QUIRE_PORT_8000_TCP_PROTO", "tcp"},
                          {"QUIRE_PORT_8000_TCP_PORT", "8000"},
                          {"QUIRE_PORT_8000_TCP_ADDR", "10.0.0.1"},
                          {"QUIRE_PORT_53_UDP_ADDR", "10.0.0.1"},
                          {"QUIRE_EPP_SERVICE_HOST", "10.0.0.2"},
                          {"QUIRE_EPP_SERVICE_PORT_GRPC_EXT_PROC", "9002"},
                          {"QUIRE_EPP_PORT", "tcp://10.0.0.2:9002"},
                          {"QUIRE_EPP_PORT_9002_TCP", "tcp://10.0.0.2:9002"}};
  CHECK(serve({}, links).listener.port == 8000);
  for (const auto& [name, value] :
       {std::pair{"QUIRE_SERVICE_HOSTS", "x"}, std::pair{"QUIRE_PORT_TCP", "x"},
        std::pair{"QUIRE_PORT_8000_TCP_HOST", "x"}, std::pair{"QUIRE_EPP_PORT", "9002"},
        std::pair{"QUIRE_URL", "tcp://10.0.0.1:8000"}, std::pair{"QUIRE_PORT_x_TCP", "x"}}) {
    INFO(name);
    CHECK_THROWS_AS(serve({}, {{name, value}}), UsageError);
  }
}

TEST_CASE("the refusal names the setting, where it came from, and no secret") {
  try {
    (void)serve({}, {{"QUIRE_MAX_NUM_SEQS", "s3cret"}});
    FAIL("was taken");
  } catch (const UsageError& error) {
    const std::string text = error.what();
    CHECK(text.find("--max-num-seqs") != std::string::npos);
    CHECK(text.find("environment") != std::string::npos);
    CHECK(text.find("s3cret") == std::string::npos);
    CHECK(text.find('\n') == std::string::npos);
  }
}

TEST_CASE("the other commands") {
  CHECK(parse({"--version"}).printed.starts_with("quire "));
  CHECK(parse({"--help"}).printed.find("serve") != std::string::npos);
  CHECK(parse({"serve", "--help"}).printed.find("--kv-cache-memory") != std::string::npos);
  CHECK(parse({"serve", "--help"}).printed.find("Usage: quire serve") != std::string::npos);
  CHECK(parse({"health", "--url", "http://x:1"}).health.url == "http://x:1");
  const Config bench = parse({"bench", "--url", "x", "--anything"});
  CHECK(bench.command == Command::kBench);
  CHECK(bench.bench_args == std::vector<std::string>{"--url", "x", "--anything"});
}

TEST_CASE("what a command cannot use is named") {
  CHECK_THROWS_AS(run_health({.url = "http://127.0.0.1:99999"}), UsageError);
  PlanConfig plan;
  plan.config_json = "/nonexistent/config.json";
  CHECK_THROWS_WITH(run_plan(plan), Catch::StartsWith("/nonexistent/config.json: "));
}

TEST_CASE("sizes and durations") {
  CHECK(parse_size("0") == 0);
  CHECK(parse_size("17B") == 17);
  CHECK(parse_size("4GiB") == std::int64_t{4} << 30);
  CHECK(parse_size("100MB") == 100000000);
  for (const char* bad : {"", "GiB", "1.5GiB", " 1", "1 GiB", "1gib", "0x10", "9223372036854775808",
                          "99999999999TiB"}) {
    CHECK_FALSE(parse_size(bad).has_value());
  }
  CHECK(parse_duration("30") == 30s);
  CHECK(parse_duration("250ms") == 250ms);
  CHECK(parse_duration("2m") == 120s);
  for (const char* bad : {"", "s", "-1s", "1.5s", "99999999999h"}) {
    CHECK_FALSE(parse_duration(bad).has_value());
  }
}

}  // namespace
}  // namespace quire::server
