#pragma once
// Which backend an engine runs on, and how much of a GPU's memory it may use.
//
// Free functions, called while loading.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/backend/backend.h"
#include "engine/models/model.h"
#include "engine/options.h"

namespace quire::engine {

// kCuda: throws StartupError, which says why, where there is no plug-in, no GPU, or it cannot run
// this model. kAuto: the CPU, with one line in the log, until the plug-in's kernels ran on a GPU.
[[nodiscard]] std::unique_ptr<Backend> make_backend(
    const EngineOptions& options, const ModelConfig& config,
    const std::function<void(const std::string&)>& log);

// Bytes for weights, pages and activations on a GPU: gpu_memory_utilization of it, without what
// others use and without the backend's own work space.
[[nodiscard]] std::int64_t usable_memory(const EngineOptions& options, const DeviceMemory& memory);

}  // namespace quire::engine
