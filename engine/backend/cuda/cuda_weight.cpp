#include "engine/backend/cuda/cuda_weight.h"

#include <algorithm>
#include <cstring>

#include "engine/backend/cuda/schedule.h"
#include "engine/backend/stacked_tensors.h"

namespace quire::engine::cuda {

namespace {

// Row `row` of a part as `dtype`, without the padding.
void write_row(const HostTensor& part, std::int64_t row, DType dtype, std::byte* out) {
  const std::int64_t from = dtype_bytes(part.dtype);
  const std::int64_t to = dtype_bytes(dtype);
  const std::byte* source = part.data + row * part.row_stride * from;
  if (part.dtype == dtype && part.col_stride == 1) {
    std::memcpy(out, source, static_cast<std::size_t>(part.cols * to));
    return;
  }
  for (std::int64_t c = 0; c < part.cols; ++c) {
    store_float(out + c * to, dtype, load_float(source + c * part.col_stride * from, part.dtype));
  }
}

}  // namespace

QuireCudaType cuda_type(DType dtype) {
  CHECK(is_float(dtype) || has_scales(dtype));
  return static_cast<QuireCudaType>(dtype);
}
static_assert(static_cast<int>(DType::kFloat32) == kQuireCudaFloat32 &&
              static_cast<int>(DType::kFloat16) == kQuireCudaFloat16 &&
              static_cast<int>(DType::kBFloat16) == kQuireCudaBFloat16 &&
              static_cast<int>(DType::kInt8) == kQuireCudaInt8 &&
              static_cast<int>(DType::kFp8E4M3) == kQuireCudaFp8);

std::int64_t CudaWeight::row_bytes(std::int64_t cols, DType dtype) {
  return padded_k(cols) * dtype_bytes(dtype);
}

CudaWeight::CudaWeight(Device& device, Stream& stream, const Memory& staging,
                       std::span<const HostTensor> parts, DType dtype) {
  const StackedShape shape = stacked_shape(parts);
  const std::int64_t row_size = row_bytes(shape.cols, dtype);
  memory_ = Memory(device, kQuireCudaDevice, shape.rows * row_size);
  view_ = {.data = memory_.data(),
           .rows = shape.rows,
           .cols = shape.cols,
           .row_stride = padded_k(shape.cols),
           .type = cuda_type(dtype),
           .unused = 0};
  const std::int64_t rows_at_once = staging.bytes() / row_size;
  CHECK_GE(rows_at_once, 1);
  std::byte* target = memory_.data();
  for (const HostTensor& part : parts) {
    for (std::int64_t begin = 0; begin < part.rows; begin += rows_at_once) {
      const std::int64_t rows = std::min(rows_at_once, part.rows - begin);
      std::memset(staging.data(), 0, static_cast<std::size_t>(rows * row_size));
      for (std::int64_t r = 0; r < rows; ++r) {
        write_row(part, begin + r, dtype, staging.data() + r * row_size);
      }
      stream.copy(target, staging.data(), rows * row_size);
      stream.synchronize();
      target += rows * row_size;
    }
    if (part.let_go != nullptr) {
      part.let_go(part.data, part.rows * part.cols * dtype_bytes(part.dtype));
    }
  }
}

}  // namespace quire::engine::cuda
