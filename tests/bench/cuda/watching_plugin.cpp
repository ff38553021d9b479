// libquire_cuda.so in front of the real one, libquire_cuda_real.so beside it: a daemon that opens
// it leaves a line in $CUDA_WATCH_FILE about every half second in which the device worked:
//
//   WAITS BUSY IDLE PAUSED    sums since the start, seconds (watched_api.h)
//
// For tests/bench/cuda_serve.sh, which wants the share of time the device is idle between steps of
// a daemon under load.

#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/bench/cuda/watched_api.h"

namespace {

using Clock = std::chrono::steady_clock;

const QuireCudaApi* open_real(std::uint32_t version) {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&quire_cuda_api), &info) == 0) return nullptr;
  std::string path = info.dli_fname;
  path = path.substr(0, path.rfind('/') + 1) + "libquire_cuda_real.so";
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return nullptr;
  }
  const auto entry = reinterpret_cast<decltype(&quire_cuda_api)>(dlsym(library, "quire_cuda_api"));
  return entry == nullptr ? nullptr : entry(version);
}

void note() {
  static std::FILE* file = [] {
    const char* path = std::getenv("CUDA_WATCH_FILE");
    return path == nullptr ? nullptr : std::fopen(path, "w");
  }();
  static Clock::time_point last;
  const auto now = Clock::now();
  if (file == nullptr || now - last < std::chrono::milliseconds(500)) return;
  last = now;
  const auto& times = quire::engine::bench::device_times();
  std::fprintf(file, "%lld %.6f %.6f %.6f\n", static_cast<long long>(times.waits), times.busy,
               times.idle, times.paused);
  std::fflush(file);
}

}  // namespace

const QuireCudaApi* quire_cuda_api(std::uint32_t version) {
  const QuireCudaApi* real = open_real(version);
  return real == nullptr ? nullptr : &quire::engine::bench::watched(*real, note);
}
