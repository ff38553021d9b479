#include "engine/layers/weight_loader.h"

#include <algorithm>
#include <vector>

#include "engine/weights/convert.h"

namespace quire::engine {

// What was asked for, else the parts' own, else (where a file mixes them) float32.
DType WeightLoader::float_dtype(std::span<const HostTensor> parts) const {
  if (dtype_) return *dtype_;
  const bool mixed = std::any_of(parts.begin(), parts.end(), [&](const HostTensor& part) {
    return part.dtype != parts.front().dtype;
  });
  return mixed ? DType::kFloat32 : parts.front().dtype;
}

DType WeightLoader::dtype_of_product(std::span<const HostTensor> parts) const {
  return product_dtype_ ? *product_dtype_ : float_dtype(parts);
}

std::unique_ptr<Weight> WeightLoader::pack(std::span<const HostTensor> parts, DType dtype) {
  auto weight = backend_->prepare_weight(parts, dtype);
  bytes_ += weight->bytes();
  return weight;
}

DeviceBuffer WeightLoader::pack_vector(std::span<const HostTensor> parts) {
  // Rounded first where a narrower type was asked for, as the file in that type would be.
  std::vector<HostTensor> views(parts.begin(), parts.end());
  std::vector<std::vector<std::byte>> converted;
  for (HostTensor& view : views) {
    if (!dtype_ || view.dtype == *dtype_) continue;
    converted.push_back(convert(view, *dtype_));
    view = {.data = converted.back().data(),
            .dtype = *dtype_,
            .rows = view.rows,
            .cols = view.cols,
            .row_stride = view.cols};
  }
  DeviceBuffer buffer = backend_->prepare_vector(views);
  for (const HostTensor& part : parts) {
    if (part.let_go != nullptr) {
      part.let_go(part.data, part.rows * part.cols * dtype_bytes(part.dtype));
    }
  }
  bytes_ += buffer.bytes();
  return buffer;
}

Linear WeightLoader::linear(std::initializer_list<Rows> parts, std::int64_t cols, bool bias) {
  std::vector<HostTensor> weights;
  std::vector<HostTensor> biases;
  for (const Rows& part : parts) {
    weights.push_back(map_->matrix(part.name + ".weight", part.rows, cols));
    if (bias) biases.push_back(map_->vector(part.name + ".bias", part.rows));
  }
  Linear linear{.weight = pack(weights, dtype_of_product(weights)), .bias = {}};
  if (bias) linear.bias = pack_vector(biases);
  return linear;
}

Linear WeightLoader::conv1d(const std::string& name, std::int64_t rows, std::int64_t cols) {
  const HostTensor weight[] = {map_->transposed(name + ".weight", rows, cols)};
  return {.weight = pack(weight, dtype_of_product(weight)), .bias = vector(name + ".bias", rows)};
}

std::unique_ptr<Weight> WeightLoader::table(const std::string& name, std::int64_t rows,
                                            std::int64_t cols) {
  const HostTensor tensor[] = {map_->matrix(name, rows, cols)};
  return pack(tensor, float_dtype(tensor));
}

std::unique_ptr<Weight> WeightLoader::head(const std::string& name, std::int64_t rows,
                                           std::int64_t cols) {
  const HostTensor tensor[] = {map_->matrix(name, rows, cols)};
  return pack(tensor, dtype_of_product(tensor));
}

DeviceBuffer WeightLoader::vector(const std::string& name, std::int64_t size) {
  const HostTensor tensor = map_->vector(name, size);
  return pack_vector({&tensor, 1});
}

RmsNorm WeightLoader::rms_norm(const std::string& name, std::int64_t size, float epsilon) {
  return {.weight = vector(name + ".weight", size), .epsilon = epsilon};
}

LayerNorm WeightLoader::layer_norm(const std::string& name, std::int64_t size, float epsilon) {
  return {.weight = vector(name + ".weight", size),
          .bias = vector(name + ".bias", size),
          .epsilon = epsilon};
}

}  // namespace quire::engine
