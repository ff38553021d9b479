// The same answer, always: a mix of requests alone on a plain engine, then in random company under
// every disturbance; all token ids, logprob bits, texts and finish reasons must be equal.
//
//   same_answer --model FOLDER [--device auto|cpu|cuda|reference]
//               [--weights auto|float32|float16|bfloat16|int8] [--kv-cache-dtype auto|int8|fp8|...]
//               [--requests 200] [--seed 1]
//
// The plain engine has no prefix cache; of the others most have. Prints a table. Exit status 0: no
// difference, small pools did preempt, and prefix hits, partial hits, forks, swaps, recomputes and
// reads of every tier happened, the disk's also after a restart and the remote's also by another
// replica. Where no redis-server is installed the remote tier is left out, and the run says so.

#include <stdlib.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "engine/engine.h"
#include "tests/e2e/company.h"
#include "tests/e2e/redis_server.h"
#include "tests/e2e/request_mix.h"

namespace quire::e2e {
namespace {

using engine::Device;
using engine::Engine;
using engine::EngineOptions;

struct Arguments {
  std::string model;
  Device device = Device::kAuto;
  std::optional<DType> dtype;
  engine::Quantization quantization = engine::Quantization::kNone;
  std::optional<DType> kv_dtype;
  MixShape shape;
};

struct Variation {
  std::string name;
  std::function<void(EngineOptions&)> change;
  bool must_be_equal = true;  // false: only reported
  bool restarted = false;     // what the lower tiers hold is from an engine before this one
};

// Over all variations: what must have happened, or the run shows nothing of it.
struct Happened {
  cache::CacheStats cache;
  cache::TierStats tiers;
  std::int64_t preemptions = 0;
  // Records that were read; `others`: that an engine before this one wrote.
  std::int64_t disk = 0, others_disk = 0, remote = 0, others_remote = 0;
};

// A folder of its own for the disk tier, gone at the end.
struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "same-answer-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::filesystem::path path;
};

Device device_of(std::string_view name) {
  if (name == "auto") return Device::kAuto;
  if (name == "cpu") return Device::kCpu;
  if (name == "cuda") return Device::kCuda;
  if (name == "reference") return Device::kReference;
  throw std::invalid_argument("--device: auto, cpu, cuda or reference");
}

// nullopt: auto
std::optional<DType> dtype_of(std::string_view name) {
  if (name == "auto") return std::nullopt;
  if (name == "float32") return DType::kFloat32;
  if (name == "float16") return DType::kFloat16;
  if (name == "bfloat16") return DType::kBFloat16;
  if (name == "int8") return DType::kInt8;
  if (name == "fp8") return DType::kFp8E4M3;
  throw std::invalid_argument("a dtype is auto, float32, float16, bfloat16, int8 or fp8 (pages)");
}

void set_weights(Arguments& arguments, std::string_view name) {
  if (name == "int8") {
    arguments.quantization = engine::Quantization::kInt8;
  } else {
    arguments.dtype = dtype_of(name);
  }
}

template <typename T>
T number_of(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    throw std::invalid_argument("not a number: " + std::string(text));
  return value;
}

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i], value = argv[i + 1];
    if (flag == "--model") {
      arguments.model = value;
    } else if (flag == "--device") {
      arguments.device = device_of(value);
    } else if (flag == "--weights") {
      set_weights(arguments, value);
    } else if (flag == "--kv-cache-dtype") {
      arguments.kv_dtype = dtype_of(value);
    } else if (flag == "--requests") {
      arguments.shape.count = number_of<int>(value);
    } else if (flag == "--seed") {
      arguments.shape.seed = number_of<std::uint64_t>(value);
    } else {
      throw std::invalid_argument("unknown flag " + std::string(flag));
    }
  }
  if (argc % 2 == 0 || arguments.model.empty() || arguments.shape.count < 1)
    throw std::invalid_argument(
        "usage: same_answer --model FOLDER [--device D] [--weights W] [--kv-cache-dtype T] "
        "[--requests N] [--seed N]");
  return arguments;
}

EngineOptions plain_options(const Arguments& arguments) {
  EngineOptions options;
  options.model_folder = arguments.model;
  options.device = arguments.device;
  options.dtype = arguments.dtype;
  options.quantization = arguments.quantization;
  options.kv_dtype = arguments.kv_dtype;
  options.num_threads = 1;
  options.enable_prefix_caching = false;
  return options;
}

std::unique_ptr<Engine> start(const EngineOptions& options) {
  return engine::load_engine(options, {});
}

// Bytes of a pool that holds the longest sequence of the mix and little more: with 64 at a time
// there is preemption.
std::int64_t small_pool(const engine::ModelInfo& info, const MixShape& shape) {
  const std::int64_t longest = shape.longest_prompt + shape.longest_output;
  const std::int64_t blocks = longest / info.block_size + 1;
  return info.kv_bytes / info.num_blocks * blocks;
}

std::vector<Variation> make_variations(std::int64_t pool_bytes) {
  std::vector<Variation> variations;
  for (const std::int32_t chunk : {1, 7, 64, 512}) {
    variations.push_back({"chunks up to " + std::to_string(chunk), [chunk](EngineOptions& o) {
                            o.scheduler.max_chunk = chunk;
                            o.num_threads = 2;
                          }});
  }
  variations.push_back(
      {"64 tokens a step", [](EngineOptions& o) { o.scheduler.max_num_batched_tokens = 64; }});
  variations.push_back({"7 tokens a step, 5 at once", [](EngineOptions& o) {
                          o.scheduler.max_num_batched_tokens = 7;
                          o.scheduler.max_num_seqs = 5;
                        }});
  variations.push_back({"blocks of 32, 2 threads", [](EngineOptions& o) {
                          o.block_size = 32;
                          o.num_threads = 2;
                        }});
  variations.push_back({.name = "a pool for one or two", .change = [pool_bytes](EngineOptions& o) {
                          o.kv_cache_memory = pool_bytes;
                        }});
  variations.push_back(
      {.name = "the same, chunks up to 5, 2 threads", .change = [pool_bytes](EngineOptions& o) {
         o.kv_cache_memory = pool_bytes;
         o.scheduler.max_chunk = 5;
         o.num_threads = 2;
       }});
  for (Variation& variation : variations) {
    variation.change = [change = variation.change](EngineOptions& o) {
      o.enable_prefix_caching = true;
      change(o);
    };
  }
  variations.push_back(
      {.name = "no prefix cache, a pool for one or two",
       .change = [pool_bytes](EngineOptions& o) { o.kv_cache_memory = pool_bytes; }});
  return variations;
}

// The tiers below the device; sequences are preempted by force, and the pool is small, so that
// their pages do not stay there.
void add_tiers(std::vector<Variation>& variations, std::int64_t pool_bytes, const Folder& folder,
               const RedisServer* redis) {
  using cache::ReadPolicy;
  enum class Below : std::uint8_t { kNothing, kDisk, kRemote };
  const auto add = [&](std::string name, std::int64_t host, ReadPolicy policy, Below below) {
    variations.push_back(
        {.name = std::move(name), .change = [=, &folder](EngineOptions& o) {
           o.enable_prefix_caching = true;
           o.kv_cache_memory = pool_bytes;
           o.scheduler.force_preempt_every = 2;
           o.scheduler.max_preemptions = 20;
           o.tiers.host_memory = host;
           o.tiers.read_policy = policy;
           if (below == Below::kDisk) o.tiers.disk_path = folder.path;
           if (below == Below::kRemote)
             o.tiers.remote = {
                 .host = "127.0.0.1", .port = redis->port(), .user = {}, .password = {}};
         }});
  };
  add("a pool for one or two, swap always", pool_bytes * 8, ReadPolicy::kAlways, Below::kNothing);
  add("the same, swap where it is cheaper", pool_bytes * 8, ReadPolicy::kCheaper, Below::kNothing);
  add("the same, swap never", pool_bytes * 8, ReadPolicy::kNever, Below::kNothing);
  add("little host memory, disk", pool_bytes, ReadPolicy::kAlways, Below::kDisk);
  add("the same after a restart", pool_bytes, ReadPolicy::kAlways, Below::kDisk);
  variations.back().restarted = true;
  if (redis == nullptr) return;
  add("little host memory, remote", pool_bytes, ReadPolicy::kAlways, Below::kRemote);
  add("the same, another replica", pool_bytes, ReadPolicy::kAlways, Below::kRemote);
  variations.back().restarted = true;
}

// Another level of instructions is outside the law's scope; whether it is equal is worth a line.
void add_instruction_sets(std::vector<Variation>& variations, Device device) {
  if (device != Device::kAuto && device != Device::kCpu) return;
  for (const char* isa : {"avx2", "avx512"}) {
    if (std::strcmp(isa, "avx512") == 0 && !__builtin_cpu_supports("avx512f")) continue;
    variations.push_back({.name = std::string("report only: ") + isa,
                          .change = [isa](EngineOptions& o) { o.isa = isa; },
                          .must_be_equal = false});
  }
}

int count_differences(const std::vector<RequestRecord>& expected,
                      const std::vector<RequestRecord>& actual) {
  int differing = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::string difference = first_difference(expected[i], actual[i]);
    if (difference.empty()) continue;
    if (++differing <= 3) std::printf("  request %zu, %s\n", i, difference.c_str());
  }
  return differing;
}

void add_to(Happened& sum, const engine::EngineStatus& status, bool restarted) {
  sum.cache.hits += status.cache.hits;
  sum.cache.partial_hits += status.cache.partial_hits;
  sum.cache.forks += status.cache.forks;
  sum.cache.copies += status.cache.copies;
  sum.cache.evictions += status.cache.evictions;
  sum.preemptions += status.num_preemptions;
  for (const cache::TierCount& count : cache::kTierCounts)
    sum.tiers.*count.member += status.tiers.*count.member;
  (restarted ? sum.others_disk : sum.disk) += status.disk.hits;
  (restarted ? sum.others_remote : sum.remote) += status.remote.hits;
}

bool print_happened(const Happened& sum, bool with_remote) {
  std::vector<std::pair<const char*, std::int64_t>> counts = {
      {"prefix hits", sum.cache.hits},
      {"partial hits", sum.cache.partial_hits},
      {"forks", sum.cache.forks},
      {"pages copied", sum.cache.copies},
      {"evicted", sum.cache.evictions},
      {"preemptions", sum.preemptions},
      {"swaps out", sum.tiers.swaps_out},
      {"swaps in", sum.tiers.swaps_in},
      {"recomputes", sum.tiers.recomputes},
      {"spans read from host memory", sum.tiers.host_reads},
      {"from disk", sum.disk},
      {"from disk after a restart", sum.others_disk}};
  if (with_remote) {
    // Whether a daemon reads what it wrote itself depends on how soon the background writes it.
    counts.insert(counts.end(), {{"from remote", sum.remote + sum.others_remote},
                                 {"of it written by another", sum.others_remote}});
  }
  bool all = true;
  for (const auto& [name, count] : counts) {
    std::printf("%s%s %lld", &name == &counts.front().first ? "" : ", ", name,
                static_cast<long long>(count));
    all = all && count > 0;
  }
  std::printf("\n");
  if (!all) std::printf("one of these did not happen: this run shows nothing of it\n");
  return all;
}

// Returns whether the variation holds what it must.
bool run_variation(const Variation& variation, EngineOptions options,
                   std::span<const engine::GenerationRequest> requests,
                   const std::vector<RequestRecord>& expected, std::uint64_t seed, Happened& sum) {
  variation.change(options);
  const auto begin = std::chrono::steady_clock::now();
  const auto engine = start(options);
  const CompanyResult result = run_in_company(*engine, requests, {.seed = seed});
  const engine::EngineStatus status = engine->status();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  const int differing = count_differences(expected, result.records);
  std::printf("%-38s %9lld %11lld %7lld %7lld %7lld %7lld %8.1f %10d\n", variation.name.c_str(),
              static_cast<long long>(status.num_steps),
              static_cast<long long>(status.num_preemptions),
              static_cast<long long>(result.num_left), static_cast<long long>(status.cache.hits),
              static_cast<long long>(status.cache.partial_hits),
              static_cast<long long>(status.cache.forks), taken.count(), differing);
  add_to(sum, status, variation.restarted);
  std::fflush(stdout);
  return differing == 0 || !variation.must_be_equal;
}

int run(Arguments arguments) {
  const EngineOptions plain = plain_options(arguments);
  std::vector<engine::GenerationRequest> requests;
  std::vector<RequestRecord> expected;
  std::int64_t pool_bytes = 0;
  {
    const auto engine = start(plain);
    std::printf("%s on %s, %d requests, seed %llu\n", engine->info().architecture.c_str(),
                engine->info().backend.c_str(), arguments.shape.count,
                static_cast<unsigned long long>(arguments.shape.seed));
    arguments.shape.longest_prompt =
        std::min(arguments.shape.longest_prompt,
                 engine->info().max_model_len - arguments.shape.longest_output);
    requests = make_request_mix(arguments.shape, engine->tokenizer(), engine->info().vocab_size);
    expected = run_alone(*engine, requests);
    pool_bytes = small_pool(engine->info(), arguments.shape);
  }
  std::int64_t tokens = 0;
  for (const RequestRecord& record : expected)
    for (const ChoiceRecord& choice : record) tokens += choice.num_output_tokens;
  std::printf("alone: %lld output tokens\n\n%-38s %9s %11s %7s %7s %7s %7s %8s %10s\n",
              static_cast<long long>(tokens), "64 at a time, random order", "steps", "preemptions",
              "aborts", "hits", "partial", "forks", "seconds", "differing");

  std::vector<Variation> variations = make_variations(pool_bytes);
  const Folder folder;
  const auto redis = RedisServer::start();
  add_tiers(variations, pool_bytes, folder, redis.get());
  add_instruction_sets(variations, arguments.device);
  bool good = true;
  Happened sum;
  std::uint64_t seed = arguments.shape.seed;
  for (const Variation& variation : variations)
    good = run_variation(variation, plain, requests, expected, ++seed, sum) && good;
  good = print_happened(sum, redis != nullptr) && good;
  if (redis == nullptr)
    std::printf("LEFT OUT: the remote tier, as no redis-server or valkey-server is installed\n");
  std::printf("%s\n", good ? "the same answer, always" : "NOT the same answer");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace quire::e2e

int main(int argc, char** argv) {
  try {
    return quire::e2e::run(quire::e2e::parse(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "same_answer: %s\n", error.what());
    return 2;
  }
}
