#pragma once
// CudaWeight: a matrix in device memory, row-major, rows padded with zeros to whole lines of 128
// bytes (schedule.h: padded_k), in float32, float16 or bfloat16.
//
// Made at load through one pinned buffer; immutable afterwards. The device outlives it.

#include <cstdint>
#include <span>

#include "engine/backend/backend.h"
#include "engine/backend/cuda/device.h"

namespace quire::engine::cuda {

class CudaWeight final : public Weight {
 public:
  // `staging` is pinned memory with room for a row at least; waits until the stream has read it.
  CudaWeight(Device& device, Stream& stream, const Memory& staging,
             std::span<const HostTensor> parts, DType dtype);

  [[nodiscard]] std::int64_t rows() const override { return view_.rows; }
  [[nodiscard]] std::int64_t cols() const override { return view_.cols; }
  [[nodiscard]] std::int64_t bytes() const override { return memory_.bytes(); }
  // As the plug-in takes it.
  [[nodiscard]] const QuireCudaWeight& view() const { return view_; }

  // Bytes of a row of `cols` values.
  [[nodiscard]] static std::int64_t row_bytes(std::int64_t cols, DType dtype);

 private:
  QuireCudaWeight view_{};
  Memory memory_;
};

// Of weights and pages.
[[nodiscard]] QuireCudaType cuda_type(DType dtype);

}  // namespace quire::engine::cuda
