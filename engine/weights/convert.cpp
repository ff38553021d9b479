#include "engine/weights/convert.h"

#include "engine/backend/float_formats.h"

namespace quire::engine {

std::vector<std::byte> convert(const HostTensor& tensor, DType dtype) {
  CHECK(is_float(tensor.dtype) && is_float(dtype));
  const std::int64_t from_bytes = dtype_bytes(tensor.dtype);
  const std::int64_t to_bytes = dtype_bytes(dtype);
  std::vector<std::byte> out(static_cast<std::size_t>(tensor.rows * tensor.cols * to_bytes));
  std::byte* to = out.data();
  for (std::int64_t r = 0; r < tensor.rows; ++r) {
    for (std::int64_t c = 0; c < tensor.cols; ++c, to += to_bytes) {
      const std::int64_t element = r * tensor.row_stride + c * tensor.col_stride;
      store_float(to, dtype, load_float(tensor.data + element * from_bytes, tensor.dtype));
    }
  }
  return out;
}

}  // namespace quire::engine
