#pragma once
// What an engine is made from. Plain values; server/config fills them.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "engine/tiers/options.h"
#include "proto/types.h"
#include "scheduler/options.h"

namespace quire::engine {

enum class Device : std::uint8_t { kAuto, kCpu, kCuda, kReference };

// kInt8: the matrices of products in int8 with a scale per group, made at load
// (backend/int8_format.h); embeddings that are only looked up, norms and biases stay floats.
enum class Quantization : std::uint8_t { kNone, kInt8 };

struct EngineOptions {
  std::filesystem::path model_folder;
  Device device = Device::kAuto;  // kReference: the plain loops, for tests
  int num_threads = 0;         // compute threads; 0: what affinity and the container's quota allow
  std::string isa;             // "": the best; "avx2", "avxvnni", "avx512" or "amx" (tests)
  std::optional<DType> dtype;  // converts weights at load; absent: the file's own
  Quantization quantization = Quantization::kNone;
  // False allows a backend faster choices whose results depend on the company. The CPU has none.
  bool batch_invariant = true;
  std::optional<DType> kv_dtype;  // absent: the weights' own

  std::int32_t block_size = 16;  // tokens per block
  // Of a GPU's memory, for weights, pages and work together, where kv_cache_memory is absent: what
  // is left over is the driver's and other processes'.
  double gpu_memory_utilization = 0.9;
  // Bytes of the pool. Absent on a CPU: 1 GiB or a quarter of memory, whichever is less: small
  // enough to be welcome on a laptop; a server sets it.
  std::optional<std::int64_t> kv_cache_memory;
  // Faulted in before ready (the rest in the background): enough for the first requests, little
  // enough not to delay the start (a first touch costs 1.5 to 5.8 us per 4 KiB).
  std::int64_t kv_touch_first = std::int64_t{16} << 20;  // bytes
  // False: every step computes its whole context anew (for measuring what the cache is worth).
  bool use_kv_cache = true;
  // Whether prompts may begin on pages that others computed.
  bool enable_prefix_caching = true;
  // Where pages live off the device.
  TierOptions tiers;

  // Absent: the model's max_position_embeddings, cut to what the pool holds.
  std::optional<std::int32_t> max_model_len;
  scheduler::SchedulerOptions scheduler;
  // The scheduler's. Absent: what suits the device (load.cpp).
  std::optional<std::int32_t> max_num_prefill_tokens;
  std::int32_t max_logprobs = 20;
};

}  // namespace quire::engine
