#include "server/settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace quire::server {
namespace {

using Text = const std::string&;

constexpr const char* kBadNumber = "is out of range or not a number";
constexpr const char* kBadSize = "must be a size such as 4GiB, 512MiB or a number of bytes";
constexpr const char* kBadDuration = "must be a duration such as 30s, 500ms or 2m";

template <typename T>
std::optional<T> to_number(std::string_view text, T min, T max) {
  T value{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size() || value < min || value > max) {
    return std::nullopt;
  }
  return value;
}

template <typename T, typename Target>
std::string store_number(Target& target, Text text, T min, T max = std::numeric_limits<T>::max()) {
  const auto value = to_number<T>(text, min, max);
  if (!value) return kBadNumber;
  target = static_cast<T>(*value);
  return {};
}

std::string store_size(std::optional<std::int64_t>& target, Text text) {
  target = parse_size(text);
  return target ? "" : kBadSize;
}

template <typename T>
struct Choice {
  std::string_view name;
  T value;
};
template <typename T, typename Target, std::size_t N>
std::string store_choice(Target& target, Text text, const Choice<T> (&choices)[N]) {
  std::string names = "must be one of";
  for (const auto& choice : choices) {
    if (choice.name == text) {
      target = choice.value;
      return {};
    }
    names.append(" ").append(choice.name);
  }
  return names;
}

std::string store_switch(bool& target, Text text, bool when_on) {
  if (text == "true" || text == "1") {
    target = when_on;
  } else if (text == "false" || text == "0") {
    target = !when_on;
  } else {
    return "must be true or false";
  }
  return {};
}

std::string store_device(ServeConfig& c, Text v) {
  using engine::Device;
  return store_choice<Device>(c.engine.device, v,
                              {{"auto", Device::kAuto},
                               {"cpu", Device::kCpu},
                               {"cuda", Device::kCuda},
                               {"reference", Device::kReference}});
}

std::string store_dtype(ServeConfig& c, Text v) {
  using Type = std::optional<DType>;
  return store_choice<Type>(c.engine.dtype, v,
                            {{"auto", std::nullopt},
                             {"float32", DType::kFloat32},
                             {"bfloat16", DType::kBFloat16},
                             {"float16", DType::kFloat16}});
}

std::string store_kv_dtype(ServeConfig& c, Text v) {
  using Type = std::optional<DType>;
  return store_choice<Type>(c.engine.kv_dtype, v,
                            {{"auto", std::nullopt},
                             {"float32", DType::kFloat32},
                             {"bfloat16", DType::kBFloat16},
                             {"float16", DType::kFloat16},
                             {"int8", DType::kInt8},
                             {"fp8", DType::kFp8E4M3}});
}

std::string store_quantization(ServeConfig& c, Text v) {
  using engine::Quantization;
  return store_choice<Quantization>(c.engine.quantization, v,
                                    {{"none", Quantization::kNone}, {"int8", Quantization::kInt8}});
}

// As browsers write it: scheme, host and perhaps port, in lower case, and nothing after.
bool is_origin(std::string_view text) {
  const std::size_t scheme = text.starts_with("https://") ? 8 : text.starts_with("http://") ? 7 : 0;
  constexpr std::string_view kHostCharacters = "abcdefghijklmnopqrstuvwxyz0123456789.-:[]";
  return scheme != 0 && text.size() > scheme &&
         text.find_first_not_of(kHostCharacters, scheme) == std::string_view::npos;
}

std::string store_origins(ServeConfig& c, Text v) {
  c.allowed_origins.clear();
  for (std::size_t begin = 0; begin <= v.size();) {
    const std::size_t end = std::min(v.find(',', begin), v.size());
    std::string origin = v.substr(begin, end - begin);
    begin = end + 1;
    if (!is_origin(origin)) {
      return "must be origins such as https://example.org, in lower case, with commas between";
    }
    c.allowed_origins.push_back(std::move(origin));
  }
  return {};
}

std::string store_log_level(ServeConfig& c, Text v) {
  return store_choice<LogLevel>(c.log_level, v,
                                {{"trace", LogLevel::kTrace},
                                 {"debug", LogLevel::kDebug},
                                 {"info", LogLevel::kInfo},
                                 {"warning", LogLevel::kWarning},
                                 {"error", LogLevel::kError},
                                 {"off", LogLevel::kOff}});
}

std::string store_text(std::string& target, Text v) {
  if (v.empty()) return "must not be empty";
  target = v;
  return {};
}

std::string store_duration(std::chrono::milliseconds& target, Text v) {
  const auto value = parse_duration(v);
  if (!value) return kBadDuration;
  target = *value;
  return {};
}

std::string store_write_stall_timeout(ServeConfig& c, Text v) {
  if (std::string error = store_duration(c.http.write_stall_timeout, v); !error.empty()) {
    return error;
  }
  return c.http.write_stall_timeout.count() > 0 ? "" : "must be above 0";
}

std::string store_body_size(ServeConfig& c, Text v) {
  const auto value = parse_size(v);
  if (!value || *value < 1024 || *value > (std::int64_t{1} << 30)) {
    return "must be a size from 1KiB to 1GiB";
  }
  c.http.max_body_bytes = static_cast<std::size_t>(*value);
  return {};
}

std::string store_byte_count(std::int64_t& target, Text text, std::int64_t least) {
  const auto value = parse_size(text);
  if (!value) return kBadSize;
  if (*value < least) return "must be at least " + std::to_string(least) + " bytes";
  target = *value;
  return {};
}

std::string store_host_memory(ServeConfig& c, Text v) {
  return store_byte_count(c.engine.tiers.host_memory, v, 0);
}

std::string store_disk_path(ServeConfig& c, Text v) {
  if (v.empty()) return "must not be empty";
  c.engine.tiers.disk_path = v;
  return {};
}

std::string store_disk_size(ServeConfig& c, Text v) {
  return store_byte_count(c.engine.tiers.disk_size, v, 1 << 20);
}

std::string store_remote_url(ServeConfig& c, Text v) {
  auto address = engine::parse_remote_url(v);
  if (!address) return address.error().message;
  c.engine.tiers.remote = std::move(address).value();
  return {};
}

std::string store_secret_file(ServeConfig& c, Text v) { return store_text(c.cache_secret_file, v); }

constexpr std::int32_t kMaxTokens = 1 << 24;

// clang-format off: one row a setting.
constexpr std::array kSettings = {
    SettingSpec{"model", "DIR|ORG/NAME", "Model folder, or a name in the Hugging Face cache",
                "the default model", [](ServeConfig& c, Text v) { return store_text(c.model, v); }},
    SettingSpec{"served-model-name", "NAME", "What clients call the model", "the folder's name",
                [](ServeConfig& c, Text v) { return store_text(c.served_model_name, v); }},
    SettingSpec{"chat-template", "FILE", "Chat template (Jinja) instead of the model's own",
                "the model's",
                [](ServeConfig& c, Text v) { return store_text(c.chat_template, v); }},
    SettingSpec{"host", "ADDRESS", "Address to listen on", "127.0.0.1",
                [](ServeConfig& c, Text v) { return store_text(c.listener.host, v); }},
    SettingSpec{
        "port", "N", "Port to listen on; 0: any free one", "8000",
        [](ServeConfig& c, Text v) { return store_number<std::uint16_t>(c.listener.port, v, 0); }},
    SettingSpec{"device", "auto|cpu|cuda", "Where the model runs", "auto", store_device},
    SettingSpec{
        "num-threads", "N", "Compute threads; 0: as many as may run", "0",
        [](ServeConfig& c, Text v) { return store_number<int>(c.engine.num_threads, v, 0, 1024); }},
    SettingSpec{"dtype", "auto|float32|bfloat16|float16", "Type of the weights in memory", "auto",
                store_dtype},
    SettingSpec{"quantization", "none|int8",
                "Make the products' weights int8 at load, with a scale per group", "none",
                store_quantization},
    SettingSpec{
        "no-batch-invariant", "",
        "Allow faster choices whose answers depend on what else runs (none exists on the CPU)",
        "false",
        [](ServeConfig& c, Text v) { return store_switch(c.engine.batch_invariant, v, false); }},
    SettingSpec{"block-size", "N", "Tokens per block of the KV cache", "16",
                [](ServeConfig& c, Text v) {
                  return store_number<std::int32_t>(c.engine.block_size, v, 1, 1024);
                }},
    SettingSpec{"kv-cache-memory", "SIZE", "Memory of the KV cache",
                "1GiB or a quarter of memory, whichever is less",
                [](ServeConfig& c, Text v) { return store_size(c.engine.kv_cache_memory, v); }},
    SettingSpec{"kv-cache-dtype", "auto|float32|bfloat16|float16|int8|fp8",
                "Type of keys and values in the pages; auto: the weights'", "auto", store_kv_dtype},
    SettingSpec{"gpu-memory-utilization", "SHARE",
                "Of a GPU's memory, for weights, KV cache and work; --kv-cache-memory comes first",
                "0.9",
                [](ServeConfig& c, Text v) {
                  return store_number<double>(c.engine.gpu_memory_utilization, v, 0.05, 1.0);
                }},
    SettingSpec{
        "no-kv-cache", "", "Compute the whole context anew in every step (to measure the cache)",
        "false",
        [](ServeConfig& c, Text v) { return store_switch(c.engine.use_kv_cache, v, false); }},
    SettingSpec{"no-enable-prefix-caching", "", "Let no prompt begin on pages that others computed",
                "false",
                [](ServeConfig& c, Text v) {
                  return store_switch(c.engine.enable_prefix_caching, v, false);
                }},
    SettingSpec{"kv-host-memory", "SIZE", "Host memory for pages that the KV cache has no room for",
                "0; 64MiB with a disk or remote tier", store_host_memory},
    SettingSpec{"kv-disk-path", "DIR",
                "Folder for a file of pages that outlives restarts (prompts lie in it; mode 0600)",
                "none", store_disk_path},
    SettingSpec{"kv-disk-size", "SIZE", "The most that this file takes", "10GiB", store_disk_size},
    SettingSpec{"kv-remote-url", "redis://[:PASSWORD@]HOST:PORT[/DB]",
                "Valkey or Redis server by which replicas share pages (prompts lie in it)", "none",
                store_remote_url},
    SettingSpec{"cache-secret-file", "FILE",
                "Secret of the pages' salts, mode 0600; made at the first start",
                "quire.secret in --kv-disk-path", store_secret_file},
    SettingSpec{"max-model-len", "N", "Longest prompt and output together, in tokens",
                "the model's",
                [](ServeConfig& c, Text v) {
                  return store_number<std::int32_t>(c.engine.max_model_len, v, 1, kMaxTokens);
                }},
    SettingSpec{"max-num-seqs", "N", "Sequences that run at once", "256",
                [](ServeConfig& c, Text v) {
                  return store_number<std::int32_t>(c.engine.scheduler.max_num_seqs, v, 1, 65536);
                }},
    SettingSpec{"max-num-batched-tokens", "N", "Tokens computed in one step", "512",
                [](ServeConfig& c, Text v) {
                  return store_number<std::int32_t>(c.engine.scheduler.max_num_batched_tokens, v, 1,
                                                    kMaxTokens);
                }},
    SettingSpec{"max-num-prefill-tokens", "N",
                "Of those, for prompts at most, where others decode in the same step; 0: all",
                "128 on the CPU, 0 on a GPU",
                [](ServeConfig& c, Text v) {
                  return store_number<std::int32_t>(c.engine.max_num_prefill_tokens, v, 0,
                                                    kMaxTokens);
                }},
    SettingSpec{"max-queue-len", "N", "Sequences that wait; one more is refused with 429", "1024",
                [](ServeConfig& c, Text v) {
                  return store_number<std::int32_t>(c.engine.scheduler.max_queue_len, v, 0,
                                                    1 << 20);
                }},
    SettingSpec{
        "generation-config", "auto|none",
        "Sampling defaults from the model's generation_config.json", "auto",
        [](ServeConfig& c, Text v) {
          return store_choice<bool>(c.use_generation_config, v, {{"auto", true}, {"none", false}});
        }},
    SettingSpec{"api-key-file", "FILE",
                "Keys, one name:sha256hex[:admin] a line, mode 0600; read again on SIGHUP",
                "no keys", [](ServeConfig& c, Text v) { return store_text(c.api_key_file, v); }},
    SettingSpec{"max-concurrent-per-key", "N",
                "Requests of one key under way at once, one more gets 429; 0: any number", "0",
                [](ServeConfig& c, Text v) {
                  return store_number<int>(c.max_concurrent_per_key, v, 0, 1 << 20);
                }},
    SettingSpec{"insecure-no-auth", "", "Listen beyond loopback without keys", "false",
                [](ServeConfig& c, Text v) { return store_switch(c.insecure_no_auth, v, true); }},
    SettingSpec{"ssl-certfile", "FILE",
                "Serve TLS with this certificate chain (PEM); read again on SIGHUP", "no TLS",
                [](ServeConfig& c, Text v) { return store_text(c.ssl_certfile, v); }},
    SettingSpec{"ssl-keyfile", "FILE", "The certificate's private key (PEM)", "no TLS",
                [](ServeConfig& c, Text v) { return store_text(c.ssl_keyfile, v); }},
    SettingSpec{"metrics-port", "N",
                "Also answer /metrics, /health and /livez here, plainly and without a key; 0: any "
                "free one",
                "none",
                [](ServeConfig& c, Text v) {
                  return store_number<std::uint16_t>(c.metrics_port, v, 0);
                }},
    SettingSpec{"allowed-origins", "LIST", "Web origins whose pages may call, with commas between",
                "none", store_origins},
    SettingSpec{"shutdown-timeout", "TIME", "How long requests in flight may go on after SIGTERM",
                "30s",
                [](ServeConfig& c, Text v) { return store_duration(c.shutdown_timeout, v); }},
    SettingSpec{"write-stall-timeout", "TIME",
                "How long a client may read nothing of its answer before it is cut off", "30s",
                store_write_stall_timeout},
    SettingSpec{"max-body-size", "SIZE", "Largest request body", "4MiB", store_body_size},
    SettingSpec{
        "io-threads", "N", "Threads for connections", "1",
        [](ServeConfig& c, Text v) { return store_number<int>(c.listener.io_threads, v, 1, 64); }},
    SettingSpec{"max-connections", "N", "Connections at once; one more gets 503", "10000",
                [](ServeConfig& c, Text v) {
                  return store_number<int>(c.listener.max_connections, v, 1, 1000000);
                }},
    SettingSpec{"max-connections-per-address", "N",
                "Connections of one address at once, one more gets 429; 0: any number",
                "512, and any number on the loopback",
                [](ServeConfig& c, Text v) {
                  return store_number<int>(c.listener.max_connections_per_address, v, 0, 1000000);
                }},
    SettingSpec{"log-level", "LEVEL", "trace, debug, info, warning, error or off", "info",
                store_log_level},
    SettingSpec{"log-format", "text|json", "Lines of the log", "text",
                [](ServeConfig& c, Text v) {
                  return store_choice<LogFormat>(
                      c.log_format, v, {{"text", LogFormat::kText}, {"json", LogFormat::kJson}});
                }},
    SettingSpec{"log-content", "", "Write prompts and outputs to the log, 8 KiB of each", "false",
                [](ServeConfig& c, Text v) { return store_switch(c.log_content, v, true); }},
};
// clang-format on

}  // namespace

std::span<const SettingSpec> serve_settings() { return kSettings; }

std::string environment_name(std::string_view setting) {
  std::string name = "QUIRE_";
  for (const char c : setting) {
    name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return name;
}

std::optional<std::int64_t> parse_size(std::string_view text) {
  static constexpr Choice<std::int64_t> kUnits[] = {{"KiB", std::int64_t{1} << 10},
                                                    {"MiB", std::int64_t{1} << 20},
                                                    {"GiB", std::int64_t{1} << 30},
                                                    {"TiB", std::int64_t{1} << 40},
                                                    {"KB", 1000},
                                                    {"MB", 1000000},
                                                    {"GB", 1000000000},
                                                    {"TB", 1000000000000},
                                                    {"B", 1},
                                                    {"", 1}};
  for (const auto& unit : kUnits) {
    if (!text.ends_with(unit.name)) continue;
    const auto number = to_number<std::int64_t>(text.substr(0, text.size() - unit.name.size()), 0,
                                                (std::int64_t{1} << 50) / unit.value);
    return number ? std::optional(*number * unit.value) : std::nullopt;
  }
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  static constexpr Choice<std::int64_t> kUnits[] = {
      {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"", 1000}};
  for (const auto& unit : kUnits) {
    if (!text.ends_with(unit.name)) continue;
    const auto number = to_number<std::int64_t>(text.substr(0, text.size() - unit.name.size()), 0,
                                                std::int64_t{30} * 24 * 3600 * 1000 / unit.value);
    return number ? std::optional(std::chrono::milliseconds(*number * unit.value)) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace quire::server
