#pragma once
// Activations: the scratch memory of one step, one buffer for each kind of value that is alive at
// the same time. Allocated once, in reserve(); the views are valid until the next step.

#include <cstdint>

#include "engine/backend/backend.h"

namespace quire::engine {

// A buffer of [max rows, cols] float32 in the backend's memory.
class ActivationBuffer final {
 public:
  void reserve(Backend& backend, std::int64_t max_rows, std::int64_t cols) {
    memory_ = backend.allocate(max_rows * cols * dtype_bytes(DType::kFloat32));
    max_rows_ = max_rows;
    cols_ = cols;
  }
  // The first `rows` rows.
  [[nodiscard]] TensorView view(std::int64_t rows) const {
    CHECK_LE(rows, max_rows_);
    return {.data = memory_.data(), .rows = rows, .cols = cols_, .row_stride = cols_};
  }

 private:
  DeviceBuffer memory_;
  std::int64_t max_rows_ = 0;
  std::int64_t cols_ = 0;
};

// Widths of a transformer's values.
struct ActivationWidths {
  std::int64_t hidden = 0;
  std::int64_t qkv = 0;    // (H + 2 G) D
  std::int64_t heads = 0;  // H D
  std::int64_t wide = 0;   // what the first product of the MLP gives
  std::int64_t inner = 0;  // what its second product takes
};

struct Activations {
  ActivationBuffer residual;  // the stream, [T, C]
  ActivationBuffer delta;     // what the last block adds to it, [T, C]
  ActivationBuffer normed;    // [T, C]
  ActivationBuffer qkv;
  ActivationBuffer heads;
  ActivationBuffer wide;
  ActivationBuffer inner;
  ActivationBuffer sampled_residual;  // the rows that are sampled, [S, C]
  ActivationBuffer sampled_delta;
  ActivationBuffer sampled;

  void reserve(Backend& backend, std::int64_t max_tokens, std::int64_t max_samples,
               const ActivationWidths& widths) {
    residual.reserve(backend, max_tokens, widths.hidden);
    delta.reserve(backend, max_tokens, widths.hidden);
    normed.reserve(backend, max_tokens, widths.hidden);
    qkv.reserve(backend, max_tokens, widths.qkv);
    heads.reserve(backend, max_tokens, widths.heads);
    wide.reserve(backend, max_tokens, widths.wide);
    inner.reserve(backend, max_tokens, widths.inner);
    sampled_residual.reserve(backend, max_samples, widths.hidden);
    sampled_delta.reserve(backend, max_samples, widths.hidden);
    sampled.reserve(backend, max_samples, widths.hidden);
  }
};

}  // namespace quire::engine
