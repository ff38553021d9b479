#pragma once
// A backend that notes how long each op of another one takes: where a step's time goes.
//
// Wraps any Backend, which it owns. Products are told apart by shape ("linear 4096x768"); the
// sampler's work is "parallel_for". One thread, as every backend. Two clock reads an op.

#include <chrono>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "engine/backend/backend.h"

namespace quire::bench {

class TimedBackend final : public engine::Backend {
 public:
  explicit TimedBackend(std::unique_ptr<engine::Backend> inner) : inner_(std::move(inner)) {}

  // Seconds by op since the last clear().
  [[nodiscard]] const std::map<std::string, double>& seconds() const { return seconds_; }
  void clear() { seconds_.clear(); }

  [[nodiscard]] std::string_view name() const override { return inner_->name(); }
  [[nodiscard]] std::string_view layout_id() const override { return inner_->layout_id(); }
  [[nodiscard]] std::int32_t block_size_multiple() const override {
    return inner_->block_size_multiple();
  }
  [[nodiscard]] bool supports_kv_dtype(DType dtype) const override {
    return inner_->supports_kv_dtype(dtype);
  }
  [[nodiscard]] bool supports_weight_dtype(DType dtype) const override {
    return inner_->supports_weight_dtype(dtype);
  }
  [[nodiscard]] bool supports_head_dim(std::int32_t head_dim) const override {
    return inner_->supports_head_dim(head_dim);
  }
  [[nodiscard]] engine::DeviceBuffer allocate(std::int64_t bytes) override {
    return inner_->allocate(bytes);
  }
  void free_memory(void* data, std::int64_t bytes) noexcept override {
    inner_->free_memory(data, bytes);
  }
  [[nodiscard]] std::unique_ptr<engine::Weight> prepare_weight(
      std::span<const engine::HostTensor> parts, DType dtype) override {
    return inner_->prepare_weight(parts, dtype);
  }
  [[nodiscard]] engine::DeviceBuffer prepare_vector(
      std::span<const engine::HostTensor> parts) override {
    return inner_->prepare_vector(parts);
  }
  void reserve(std::int64_t tokens, std::int64_t rows, std::int64_t features,
               std::int64_t context) override {
    inner_->reserve(tokens, rows, features, context);
  }
  void begin_step(const engine::BatchInput& batch) override { inner_->begin_step(batch); }
  void end_step() override { inner_->end_step(); }

  void embed(const engine::Weight& table, std::span<const std::int32_t> ids,
             engine::TensorView out) override;
  void add(engine::TensorView residual, engine::TensorView delta) override;
  void linear(engine::TensorView x, const engine::Weight& weight, const float* bias,
              engine::TensorView out) override;
  void rms_norm(engine::TensorView residual, engine::TensorView delta, const float* weight,
                float epsilon, engine::TensorView out) override;
  void layer_norm(engine::TensorView residual, engine::TensorView delta, const float* weight,
                  const float* bias, float epsilon, engine::TensorView out) override;
  void rope_and_write_kv(engine::TensorView q, engine::TensorView k, engine::TensorView v,
                         const engine::RopeTable& rope, const engine::KvLayer& kv,
                         const engine::BatchInput& batch) override;
  void attention(engine::TensorView q, const engine::KvLayer& kv,
                 const engine::AttentionParams& params, const engine::BatchInput& batch,
                 engine::TensorView out) override;
  void silu_and_mul(engine::TensorView x, engine::TensorView out) override;
  void gelu_tanh(engine::TensorView x) override;
  void gather_rows(engine::TensorView x, std::span<const std::int32_t> rows,
                   engine::TensorView out) override;
  void copy_page(const engine::KvLayer& any_layer, BlockId from, BlockId to) override {
    inner_->copy_page(any_layer, from, to);
  }
  [[nodiscard]] const float* to_host(engine::TensorView x) override { return inner_->to_host(x); }
  void parallel_for(std::int64_t n, void (*fn)(void* context, std::int64_t i),
                    void* context) override;

 private:
  template <typename Function>
  void time(std::string op, const Function& call) {
    const auto start = std::chrono::steady_clock::now();
    call();
    seconds_[std::move(op)] +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  std::unique_ptr<engine::Backend> inner_;
  std::map<std::string, double> seconds_;
};

}  // namespace quire::bench
