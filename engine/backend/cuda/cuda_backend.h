#pragma once
// CudaBackend: the seam's ops as records for a plug-in (quire_cuda_abi.h).
//
// Within a step an op only writes a record; nothing waits and nothing is started before to_host()
// or end_step(), which send the step's data (StepUpload), start its ops (StepQueue) and wait; or
// before start_step(), which does not wait: finish_step() does, for an event behind the step.
// Decode steps are padded to the ladder's sizes and replayed as graphs. Activations stay float32.
// What a 16-bit product reads is a 16-bit copy that the op before it left beside its output; where
// there is none, a conversion is recorded. Engine thread only. Throws DeviceLost where the device
// has failed; nothing works after that.

#include <memory>
#include <string>

#include "engine/backend/backend.h"
#include "engine/backend/cuda/quire_cuda_abi.h"

namespace quire::engine {

struct CudaOptions {
  int num_threads = 0;  // of host work (sampling); as make_cpu_backend's
  bool use_graphs = true;
};

// `api` lives as long as the process. StartupError where there is no usable GPU.
[[nodiscard]] std::unique_ptr<Backend> make_cuda_backend(const QuireCudaApi& api,
                                                         const CudaOptions& options);

}  // namespace quire::engine
