#include "engine/backend/cpu/kernels.h"
#include "tests/backend/tensors.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine::testing {

std::vector<CpuVariant> cpu_variants() {
  if (!cpu::has_avx2()) {
    WARN("no AVX2 here: the CPU backend is not tested");
    return {};
  }
  std::vector<CpuVariant> variants{{"avx2", 1}, {"avx2", 2}, {"avx2", 3}};
  if (cpu::has_avx_vnni()) variants.push_back({"avxvnni", 2});
  if (cpu::has_avx512()) {
    variants.insert(variants.end(), {{"avx512", 1}, {"avx512", 2}, {"avx512", 3}});
  } else {
    WARN("no AVX-512 here: those kernels are not tested");
  }
  if (cpu::has_amx()) {
    variants.insert(variants.end(), {{"amx", 1}, {"amx", 2}, {"amx", 3}});
  } else {
    WARN("no AMX here: those kernels are not tested");
  }
  return variants;
}

}  // namespace quire::engine::testing
