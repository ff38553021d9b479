#include "engine/backend_choice.h"

#include <algorithm>

#include "engine/backend/cuda/cuda_backend.h"
#include "engine/backend/plugin.h"
#include "proto/error.h"

namespace quire::engine {
namespace {

// Beside weights, pages and activations: the runtime's own, partial results, graphs.
constexpr std::int64_t kDeviceReserve = std::int64_t{1} << 30;

// Why a GPU backend cannot run what is asked for; empty: it can.
std::string refusal(const EngineOptions& options, const ModelConfig& config,
                    const Backend& backend) {
  if (options.quantization == Quantization::kInt8 && !backend.supports_weight_dtype(DType::kInt8)) {
    return "--quantization int8 is not supported on a GPU";
  }
  if (options.kv_dtype && !backend.supports_kv_dtype(*options.kv_dtype)) {
    return "this --kv-cache-dtype is not supported on a GPU";
  }
  if (!backend.supports_head_dim(config.head_dim)) {
    return "heads of " + std::to_string(config.head_dim) + " are not supported on a GPU";
  }
  return {};
}

std::unique_ptr<Backend> make_gpu_backend(const EngineOptions& options, const ModelConfig& config) {
  auto backend = make_cuda_backend(load_cuda_plugin(), {.num_threads = options.num_threads});
  const std::string why = refusal(options, config, *backend);
  if (!why.empty()) throw StartupError(why);
  return backend;
}

}  // namespace

std::unique_ptr<Backend> make_backend(const EngineOptions& options, const ModelConfig& config,
                                      const std::function<void(const std::string&)>& log) {
  if (options.device == Device::kReference) return make_reference_backend();
  if (options.device != Device::kCuda) {
    if (options.device == Device::kAuto && log) {
      log("running on the CPU: a GPU is used by --device cuda alone, until its kernels ran on one");
    }
    return make_cpu_backend(options.num_threads, options.isa);
  }
  try {
    return make_gpu_backend(options, config);
  } catch (const StartupError& error) {
    throw StartupError("--device cuda: " + std::string(error.what()));
  }
}

std::int64_t usable_memory(const EngineOptions& options, const DeviceMemory& memory) {
  const auto share =
      static_cast<std::int64_t>(options.gpu_memory_utilization * static_cast<double>(memory.total));
  const std::int64_t used = memory.total - memory.free;
  return std::max<std::int64_t>(1, share - used - kDeviceReserve);
}

}  // namespace quire::engine
