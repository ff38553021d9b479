#include "engine/layers/weight_loader.h"

#include <algorithm>
#include <vector>

#include "engine/weights/convert.h"

namespace quire::engine {
namespace {

// The parts as one dtype: the one asked for, else their own, else (where a file mixes them)
// float32. Owns the converted copies while the backend packs.
class UniformParts final {
 public:
  UniformParts(std::span<const HostTensor> parts, std::optional<DType> wanted)
      : views_(parts.begin(), parts.end()) {
    const bool mixed = std::any_of(parts.begin(), parts.end(), [&](const HostTensor& part) {
      return part.dtype != parts.front().dtype;
    });
    if (!wanted && mixed) wanted = DType::kFloat32;
    if (!wanted) return;
    for (HostTensor& view : views_) {
      if (view.dtype == *wanted) continue;
      converted_.push_back(convert(view, *wanted));
      view = {.data = converted_.back().data(),
              .dtype = *wanted,
              .rows = view.rows,
              .cols = view.cols,
              .row_stride = view.cols,
              .col_stride = 1};
    }
  }
  [[nodiscard]] std::span<const HostTensor> views() const { return views_; }

 private:
  std::vector<HostTensor> views_;
  std::vector<std::vector<std::byte>> converted_;
};

}  // namespace

std::unique_ptr<Weight> WeightLoader::pack(std::span<const HostTensor> parts) {
  auto weight = backend_->prepare_weight(UniformParts(parts, dtype_).views());
  for (const HostTensor& part : parts) map_->release(part);
  bytes_ += weight->bytes();
  return weight;
}

DeviceBuffer WeightLoader::pack_vector(std::span<const HostTensor> parts) {
  DeviceBuffer buffer = backend_->prepare_vector(UniformParts(parts, dtype_).views());
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
  Linear linear{.weight = pack(weights), .bias = {}};
  if (bias) linear.bias = pack_vector(biases);
  return linear;
}

Linear WeightLoader::conv1d(const std::string& name, std::int64_t rows, std::int64_t cols) {
  const HostTensor weight = map_->transposed(name + ".weight", rows, cols);
  return {.weight = pack({&weight, 1}), .bias = vector(name + ".bias", rows)};
}

std::unique_ptr<Weight> WeightLoader::table(const std::string& name, std::int64_t rows,
                                            std::int64_t cols) {
  const HostTensor tensor = map_->matrix(name, rows, cols);
  return pack({&tensor, 1});
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
