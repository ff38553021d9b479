#pragma once
// WeightLoader: hands a model's tensors to the backend, one layer's part after the other.
//
// Borrows the map and the backend during loading. The file's pages are let go as they are packed
// (HostTensor::let_go), so that memory peaks a few MiB above the weights.
// Every shape is checked by the map; every error is its StartupError naming file and tensor.

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "engine/backend/backend.h"
#include "engine/layers/linear.h"
#include "engine/layers/norm.h"
#include "engine/weights/weight_map.h"

namespace quire::engine {

class WeightLoader final {
 public:
  // dtype: what every tensor is converted to; absent: each keeps its own. product_dtype:
  // the same for the matrices of products, in dtype's place; vectors, and tables that are only
  // looked up, are always floats.
  WeightLoader(const WeightMap& map, std::optional<DType> dtype, std::optional<DType> product_dtype,
               Backend& backend)
      : map_(&map), dtype_(dtype), product_dtype_(product_dtype), backend_(&backend) {}

  // "NAME.weight" [rows, cols] and "NAME.bias" [rows].
  struct Rows {
    std::string name;
    std::int64_t rows = 0;
  };
  // The parts stacked in one product: q, k and v; gate and up.
  [[nodiscard]] Linear linear(std::initializer_list<Rows> parts, std::int64_t cols, bool bias);
  // The same stored transposed, as GPT-2 has it.
  [[nodiscard]] Linear conv1d(const std::string& name, std::int64_t rows, std::int64_t cols);
  // Tensors by their whole names. A table is only looked up; a head is a product (and a tied
  // embedding both: stored once).
  [[nodiscard]] std::unique_ptr<Weight> table(const std::string& name, std::int64_t rows,
                                              std::int64_t cols);
  [[nodiscard]] std::unique_ptr<Weight> head(const std::string& name, std::int64_t rows,
                                             std::int64_t cols);
  [[nodiscard]] DeviceBuffer vector(const std::string& name, std::int64_t size);

  [[nodiscard]] RmsNorm rms_norm(const std::string& name, std::int64_t size, float epsilon);
  [[nodiscard]] LayerNorm layer_norm(const std::string& name, std::int64_t size, float epsilon);

  // Of everything packed so far.
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  std::unique_ptr<Weight> pack(std::span<const HostTensor> parts, DType dtype);
  [[nodiscard]] DType float_dtype(std::span<const HostTensor> parts) const;
  [[nodiscard]] DType dtype_of_product(std::span<const HostTensor> parts) const;
  DeviceBuffer pack_vector(std::span<const HostTensor> parts);

  const WeightMap* map_;
  std::optional<DType> dtype_;
  std::optional<DType> product_dtype_;
  Backend* backend_;
  std::int64_t bytes_ = 0;
};

}  // namespace quire::engine
