#pragma once
// The CUDA plug-in, libquire_cuda.so: found and opened when it is wanted; the binary itself needs
// no CUDA library.
//
// Looked for beside the executable, then in ../lib/quire and ../lib from there: nowhere that
// another user could have written to, and not where the environment says. Stays open until the
// process ends.

#include <string>
#include <string_view>

#include "engine/backend/cuda/quire_cuda_abi.h"

namespace quire::engine {

inline constexpr std::string_view kPluginName = "libquire_cuda.so";

// Throws StartupError of one line: not found (and where), not loadable, or another version's.
[[nodiscard]] const QuireCudaApi& load_cuda_plugin();
// The same from one file.
[[nodiscard]] const QuireCudaApi& open_cuda_plugin(const std::string& path);

}  // namespace quire::engine
