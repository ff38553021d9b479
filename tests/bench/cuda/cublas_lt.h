#pragma once
// CublasLt: products by NVIDIA's library, to hold ours against. Opened at run time, so that nothing
// is linked with its 517 MB, and with the driver's own copies. Waits for each product.

#include <cstdint>
#include <memory>
#include <string>

#include "proto/types.h"
#include "tests/bench/cuda/device_step.h"

namespace quire::engine::bench {

class CublasLt final {
 public:
  // Null where it is not to be had; `why` says what is missing. A device is open already.
  [[nodiscard]] static std::unique_ptr<CublasLt> open(std::string& why);
  ~CublasLt();

  // x weight^T, both rounded to `dtype`, summed in float32.
  [[nodiscard]] Matrix product(const Matrix& x, const Matrix& weight, DType dtype);
  // Of one product of bfloat16 [m, k] and [n, k] to bfloat16, by the library's first choice of
  // algorithm with a workspace; of many, on weights that no cache holds.
  [[nodiscard]] double seconds(std::int64_t m, std::int64_t n, std::int64_t k);

 private:
  struct Library;
  explicit CublasLt(std::unique_ptr<Library> library);
  std::unique_ptr<Library> library_;
};

}  // namespace quire::engine::bench
