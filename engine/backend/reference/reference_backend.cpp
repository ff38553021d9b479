#include <cstring>

#include "engine/backend/backend.h"
#include "engine/backend/host_memory.h"
#include "engine/backend/reference/ops.h"
#include "engine/backend/reference/reference_weight.h"
#include "engine/backend/stacked_tensors.h"

namespace quire::engine {
namespace {

using reference::ReferenceWeight;

const ReferenceWeight& reference_weight(const Weight& weight) {
  return static_cast<const ReferenceWeight&>(weight);
}

class ReferenceBackend final : public Backend {
 public:
  [[nodiscard]] std::string_view name() const override { return "reference"; }
  [[nodiscard]] std::string_view layout_id() const override { return "kv-slot-dim"; }
  [[nodiscard]] std::int32_t block_size_multiple() const override { return 1; }
  [[nodiscard]] bool supports_kv_dtype(DType dtype) const override {
    return is_float(dtype) || has_scales(dtype);
  }
  [[nodiscard]] bool supports_weight_dtype(DType dtype) const override {
    return is_float(dtype) || dtype == DType::kInt8;
  }

  DeviceBuffer allocate(std::int64_t bytes) override {
    return DeviceBuffer(this, map_zeroed(bytes), bytes);
  }
  void free_memory(void* data, std::int64_t bytes) noexcept override { unmap(data, bytes); }
  std::unique_ptr<Weight> prepare_weight(std::span<const HostTensor> parts, DType dtype) override {
    CHECK(supports_weight_dtype(dtype));
    return std::make_unique<ReferenceWeight>(parts, dtype);
  }
  DeviceBuffer prepare_vector(std::span<const HostTensor> parts) override {
    DeviceBuffer buffer =
        allocate(total_elements(parts) * static_cast<std::int64_t>(sizeof(float)));
    widen_all(parts, static_cast<float*>(buffer.data()));
    return buffer;
  }
  void reserve(std::int64_t, std::int64_t, std::int64_t, std::int64_t) override {}
  void begin_step(const BatchInput&) override {}
  void end_step() override {}

  void embed(const Weight& table, std::span<const std::int32_t> ids, TensorView out) override {
    const ReferenceWeight& weight = reference_weight(table);
    if (weight.is_int8()) return reference::int8_embed(weight.int8(), ids, out);
    reference::embed(weight.dense(), ids, out);
  }
  void add(TensorView residual, TensorView delta) override { reference::add(residual, delta); }
  void linear(TensorView x, const Weight& weight, const float* bias, TensorView out) override {
    const ReferenceWeight& matrix = reference_weight(weight);
    if (matrix.is_int8()) return reference::int8_linear(x, matrix.int8(), bias, out);
    reference::linear(x, matrix.dense(), bias, out);
  }
  void rms_norm(TensorView residual, TensorView delta, const float* weight, float epsilon,
                TensorView out) override {
    reference::rms_norm(residual, delta, weight, epsilon, out);
  }
  void layer_norm(TensorView residual, TensorView delta, const float* weight, const float* bias,
                  float epsilon, TensorView out) override {
    reference::layer_norm(residual, delta, weight, bias, epsilon, out);
  }
  void rope_and_write_kv(TensorView q, TensorView k, TensorView v, const RopeTable& rope,
                         const KvLayer& kv, const BatchInput& batch) override {
    reference::rope(q, kv.head_dim, rope, batch.positions);
    reference::rope(k, kv.head_dim, rope, batch.positions);
    reference::write_kv(k, v, kv, batch.slot_mapping);
  }
  void attention(TensorView q, const KvLayer& kv, const AttentionParams& params,
                 const BatchInput& batch, TensorView out) override {
    reference::attention(q, kv, params, batch, out);
  }
  void silu_and_mul(TensorView x, TensorView out) override { reference::silu_and_mul(x, out); }
  void gelu_tanh(TensorView x) override { reference::gelu_tanh(x); }
  void gather_rows(TensorView x, std::span<const std::int32_t> rows, TensorView out) override {
    reference::gather_rows(x, rows, out);
  }
  void copy_page(const KvLayer& any_layer, BlockId from, BlockId to) override {
    const std::int64_t size = any_layer.page_bytes;
    std::memcpy(any_layer.pool + static_cast<std::int64_t>(to) * size,
                any_layer.pool + static_cast<std::int64_t>(from) * size,
                static_cast<std::size_t>(size));
  }
  const float* to_host(TensorView x) override { return static_cast<const float*>(x.data); }
  void parallel_for(std::int64_t n, void (*fn)(void* context, std::int64_t i),
                    void* context) override {
    for (std::int64_t i = 0; i < n; ++i) fn(context, i);
  }
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() { return std::make_unique<ReferenceBackend>(); }

}  // namespace quire::engine
