#include "server/config.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <memory>
#include <set>

#include "server/settings.h"

extern char** environ;

namespace quire::server {
namespace {

constexpr std::size_t kMaxConfigFile = 1 << 20;  // bytes
constexpr std::string_view kUsage =
    "usage: quire serve [flags] | plan [flags] | bench [flags] | health [--url URL] | --version\n";

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

const SettingSpec* find_setting(std::string_view name) {
  const auto settings = serve_settings();
  const auto it = std::ranges::find(settings, name, &SettingSpec::name);
  return it == settings.end() ? nullptr : &*it;
}

// `name = value` lines; '#' begins a comment line; a value may stand in double quotes.
std::map<std::string, std::string> read_config_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw UsageError("--config: cannot read " + path);
  std::map<std::string, std::string> values;
  std::string line;
  std::size_t total = 0;
  for (int number = 1; std::getline(in, line); ++number) {
    const std::string where = path + " line " + std::to_string(number) + ": ";
    if ((total += line.size()) > kMaxConfigFile) throw UsageError(path + ": larger than 1 MiB");
    const std::string_view text = trim(line);
    if (text.empty() || text.front() == '#') continue;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) throw UsageError(where + "must be name = value");
    const std::string name(trim(text.substr(0, equals)));
    std::string_view value = trim(text.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    if (find_setting(name) == nullptr) throw UsageError(where + "there is no setting " + name);
    if (!values.emplace(name, value).second) throw UsageError(where + name + " is set twice");
  }
  if (in.bad()) throw UsageError("--config: cannot read " + path);
  return values;
}

// Kubernetes and Docker tell a container of each service beside it by variables of these names: of
// services named quire and quire-anything they begin as ours do. QUIRE_PORT among them is a URL.
bool is_service_link(std::string_view name, std::string_view value) {
  const auto among = [](std::string_view text, std::initializer_list<std::string_view> all) {
    return std::ranges::find(all, text) != all.end();
  };
  if (name.ends_with("_PORT") && value.find("://") != std::string_view::npos) return true;
  if (name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT") ||
      name.find("_SERVICE_PORT_") != std::string_view::npos) {
    return true;
  }
  // NAME_PORT_8000_TCP, and the same with what of it.
  constexpr std::string_view kPort = "_PORT_";
  const std::size_t port = name.rfind(kPort);
  if (port == std::string_view::npos) return false;
  const std::size_t digits = port + kPort.size();
  const std::size_t end = name.find_first_not_of("0123456789", digits);
  if (end == digits || end == std::string_view::npos) return false;
  const std::string_view rest = name.substr(end);
  const std::size_t what = rest.find('_', 1);
  return among(rest.substr(0, what), {"_TCP", "_UDP", "_SCTP"}) &&
         (what == std::string_view::npos || among(rest.substr(what), {"_PROTO", "_PORT", "_ADDR"}));
}

// QUIRE_* variables by setting name.
std::map<std::string, std::string> read_environment(const Environment& environment) {
  std::map<std::string, std::string> known;
  for (const SettingSpec& spec : serve_settings()) {
    known.emplace(environment_name(spec.name), spec.name);
  }
  known.emplace("QUIRE_CONFIG", "config");
  std::map<std::string, std::string> values;
  for (const auto& [name, value] : environment) {
    if (!name.starts_with("QUIRE_") || is_service_link(name, value)) continue;
    const auto it = known.find(name);
    if (it == known.end()) throw UsageError("environment: there is no setting " + name);
    values.emplace(it->second, value);
  }
  return values;
}

// As it may stand in a log: without what stands before the host.
std::string without_secret(std::string_view name, const std::string& value) {
  const std::size_t at = value.rfind('@');
  if (name != "kv-remote-url" || at == std::string::npos) return value;
  return "redis://***" + value.substr(at);
}

struct Sources {
  std::map<std::string, std::string> flags, environment, file;
};

ServeConfig merge(const Sources& sources) {
  ServeConfig config;
  const std::pair<const std::map<std::string, std::string>*, const char*> order[] = {
      {&sources.flags, "flag"}, {&sources.environment, "environment"}, {&sources.file, "file"}};
  for (const SettingSpec& spec : serve_settings()) {
    const std::string name(spec.name);
    ServeConfig::Setting shown{name, std::string(spec.shown_default), "default"};
    for (const auto& [values, origin] : order) {
      const auto it = values->find(name);
      if (it == values->end()) continue;
      const std::string problem = spec.store(config, it->second);
      if (!problem.empty()) throw UsageError("--" + name + " (" + origin + "): " + problem);
      shown = {name, without_secret(name, it->second), origin};
      break;
    }
    config.effective.push_back(std::move(shown));
  }
  return config;
}

// The flags of `quire serve` as text, on their way to merge().
class ServeFlags final {
 public:
  explicit ServeFlags(CLI::App& app) {
    for (const SettingSpec& spec : serve_settings()) {
      const std::string flag = "--" + std::string(spec.name);
      std::string help(spec.help);
      help.append(" [").append(spec.shown_default).append("]");
      std::string& target = values_[std::string(spec.name)];
      CLI::Option* option = spec.metavar.empty() ? app.add_flag(flag, target, help)
                                                 : app.add_option(flag, target, help);
      if (!spec.metavar.empty()) option->type_name(std::string(spec.metavar));
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
      options_.emplace_back(spec.name, option);
    }
    config_ = app.add_option("--config", config_file_, "File of name = value lines");
    config_->type_name("FILE");
  }

  [[nodiscard]] std::map<std::string, std::string> given() const {
    std::map<std::string, std::string> values;
    for (const auto& [name, option] : options_) {
      if (option->count() > 0) values.emplace(name, values_.at(name));
    }
    if (config_->count() > 0) values.emplace("config", config_file_);
    return values;
  }

 private:
  std::map<std::string, std::string> values_;
  std::vector<std::pair<std::string, CLI::Option*>> options_;
  std::string config_file_;
  CLI::Option* config_;
};

ServeConfig read_serve(const ServeFlags& flags, const Environment& environment) {
  Sources sources{.flags = flags.given(), .environment = read_environment(environment), .file = {}};
  for (const auto* values : {&sources.flags, &sources.environment}) {
    const auto it = values->find("config");
    if (it == values->end()) continue;
    sources.file = read_config_file(it->second);
    break;
  }
  return merge(sources);
}

// The flags of `quire plan`; sizes and dtypes stay text until everything is read.
class PlanFlags final {
 public:
  explicit PlanFlags(CLI::App& app) {
    auto* model = app.add_option("--model", plan_.model, "Model folder or ORG/NAME");
    model->type_name("DIR");
    app.add_option("--config-json", plan_.config_json, "A config.json instead of a folder")
        ->type_name("FILE")
        ->excludes(model);
    number(app, "--max-model-len", plan_.limits.max_model_len, "Tokens of a sequence");
    number(app, "--max-num-seqs", plan_.limits.max_num_seqs, "Sequences of a step");
    number(app, "--max-num-batched-tokens", plan_.limits.max_num_batched_tokens,
           "Tokens of a step");
    number(app, "--block-size", plan_.limits.block_size, "Tokens per block");
    app.add_option("--memory", memory_, "Memory for everything [this machine's]")
        ->type_name("SIZE");
    app.add_option("--kv-cache-dtype", kv_dtype_, "Of the pages")
        ->check(CLI::IsMember({"auto", "float32", "float16", "bfloat16", "int8", "fp8"}))
        ->capture_default_str();
    app.add_option("--kv-cache-memory", kv_cache_memory_, "At most for pages [all that is left]")
        ->type_name("SIZE");
    app.add_option("--quantization", quantization_, "Of the weights")
        ->check(CLI::IsMember({"none", "int8"}))
        ->capture_default_str();
    app.add_flag("--json", plan_.json, "Print JSON");
  }

  [[nodiscard]] PlanConfig read() const {
    PlanConfig plan = plan_;
    plan.limits.memory = size(memory_, "--memory");
    plan.limits.kv_cache_memory = size(kv_cache_memory_, "--kv-cache-memory");
    plan.limits.int8_weights = quantization_ == "int8";
    static const std::map<std::string, DType> kDTypes = {{"float32", DType::kFloat32},
                                                         {"float16", DType::kFloat16},
                                                         {"bfloat16", DType::kBFloat16},
                                                         {"int8", DType::kInt8},
                                                         {"fp8", DType::kFp8E4M3}};
    if (const auto it = kDTypes.find(kv_dtype_); it != kDTypes.end()) plan.kv_dtype = it->second;
    return plan;
  }

 private:
  // 0 where it was not given.
  static std::int64_t size(const std::string& text, const std::string& name) {
    if (text.empty()) return 0;
    const auto bytes = parse_size(text);
    if (!bytes || *bytes <= 0) throw UsageError(name + ": must be a size such as 24GiB");
    return *bytes;
  }
  static void number(CLI::App& app, const char* name, std::int32_t& target, const char* help) {
    app.add_option(name, target, help)->check(CLI::Range(1, 1 << 30))->type_name("N");
  }

  PlanConfig plan_;
  std::string memory_;
  std::string kv_cache_memory_;
  std::string quantization_ = "none";
  std::string kv_dtype_ = "auto";
};

}  // namespace

Environment process_environment() {
  Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

Config parse_command_line(const std::vector<std::string>& args, const Environment& environment) {
  Config config;
  // The load generator reads its own flags.
  if (!args.empty() && args.front() == "bench") {
    config.command = Command::kBench;
    config.bench_args.assign(args.begin() + 1, args.end());
    return config;
  }
  CLI::App app("Quire serves large language models from a paged KV cache.", "quire");
  bool version = false;
  app.add_flag("--version", version, "Print the version");
  CLI::App* serve = app.add_subcommand("serve", "Serve a model over HTTP");
  const ServeFlags flags(*serve);
  CLI::App* plan = app.add_subcommand("plan", "Print what a model needs, before it is loaded");
  const PlanFlags plan_flags(*plan);
  CLI::App* health = app.add_subcommand("health", "Exit status 0 when /health is 200");
  health
      ->add_option("--url", config.health.url,
                   "Of the server; where it has TLS, of its --metrics-port")
      ->capture_default_str();
  app.add_subcommand("bench", "Measure a server under load (see quire bench --help)");
  try {
    std::vector<std::string> reversed(args.rbegin(), args.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    config.printed = app.help();
    for (const CLI::App* sub : app.get_subcommands()) config.printed = sub->help("quire");
    return config;
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  if (version) {
    config.printed = "quire " QUIRE_VERSION "\n";
  } else if (serve->parsed()) {
    config.command = Command::kServe;
    config.serve = read_serve(flags, environment);
  } else if (plan->parsed()) {
    config.command = Command::kPlan;
    config.plan = plan_flags.read();
  } else if (health->parsed()) {
    config.command = Command::kHealth;
  } else {
    throw UsageError(std::string(kUsage));
  }
  return config;
}

}  // namespace quire::server
