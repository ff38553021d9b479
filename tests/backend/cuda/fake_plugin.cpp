// The fake device as a plug-in of its own, for tests of the loader and of the daemon: opened as
// libquire_cuda.so beside a copy of the program.
//
// Settings come from the environment: FAKE_CUDA_ABSENT (no GPU), FAKE_CUDA_OPS (so many
// ops work, then the device is lost), FAKE_CUDA_VERSION (another ABI's plug-in).

#include <cstdlib>

#include "tests/backend/cuda/fake_device.h"

extern "C" const QuireCudaApi* quire_cuda_api(uint32_t version) {
  using quire::engine::cuda::testing::fake_device;
  fake_device().present = std::getenv("FAKE_CUDA_ABSENT") == nullptr;
  if (const char* ops = std::getenv("FAKE_CUDA_OPS")) {
    fake_device().ops_before_loss = std::strtoll(ops, nullptr, 10);
  }
  if (std::getenv("FAKE_CUDA_VERSION") != nullptr) return nullptr;
  return version == QUIRE_CUDA_ABI_VERSION ? &quire::engine::cuda::testing::fake_api() : nullptr;
}
