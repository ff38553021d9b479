#include "engine/backend/plugin.h"

#include <dlfcn.h>

#include <filesystem>
#include <system_error>

#include "proto/error.h"

namespace quire::engine {

const QuireCudaApi& open_cuda_plugin(const std::string& path) {
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const why = ::dlerror();  // NOLINT(concurrency-mt-unsafe): glibc's is per thread
    throw StartupError("the CUDA plug-in cannot be loaded: " + std::string(why));
  }
  using Entry = decltype(&quire_cuda_api);
  const auto entry = reinterpret_cast<Entry>(::dlsym(library, "quire_cuda_api"));
  const QuireCudaApi* api = entry == nullptr ? nullptr : entry(QUIRE_CUDA_ABI_VERSION);
  if (api == nullptr || api->version != QUIRE_CUDA_ABI_VERSION ||
      api->op_bytes != sizeof(QuireCudaOp)) {
    throw StartupError("the CUDA plug-in " + path + " is of another version than this program");
  }
  return *api;
}

const QuireCudaApi& load_cuda_plugin() {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* place : {".", "../lib/quire", "../lib"}) {
    const fs::path path = (folder / place / kPluginName).lexically_normal();
    if (!error && fs::exists(path, error)) return open_cuda_plugin(path.string());
  }
  throw StartupError("the CUDA plug-in " + std::string(kPluginName) + " is not in " +
                     folder.string() + ", nor in ../lib/quire or ../lib from there");
}

}  // namespace quire::engine
