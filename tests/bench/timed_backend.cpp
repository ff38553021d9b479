#include "tests/bench/timed_backend.h"

namespace quire::bench {

using engine::TensorView;

void TimedBackend::embed(const engine::Weight& table, std::span<const std::int32_t> ids,
                         TensorView out) {
  time("embed", [&] { inner_->embed(table, ids, out); });
}

void TimedBackend::add(TensorView residual, TensorView delta) {
  time("add", [&] { inner_->add(residual, delta); });
}

void TimedBackend::linear(TensorView x, const engine::Weight& weight, const float* bias,
                          TensorView out) {
  time("linear " + std::to_string(weight.rows()) + "x" + std::to_string(weight.cols()),
       [&] { inner_->linear(x, weight, bias, out); });
}

void TimedBackend::rms_norm(TensorView residual, TensorView delta, const float* weight,
                            float epsilon, TensorView out) {
  time("rms_norm", [&] { inner_->rms_norm(residual, delta, weight, epsilon, out); });
}

void TimedBackend::layer_norm(TensorView residual, TensorView delta, const float* weight,
                              const float* bias, float epsilon, TensorView out) {
  time("layer_norm", [&] { inner_->layer_norm(residual, delta, weight, bias, epsilon, out); });
}

void TimedBackend::rope_and_write_kv(TensorView q, TensorView k, TensorView v,
                                     const engine::RopeTable& rope, const engine::KvLayer& kv,
                                     const engine::BatchInput& batch) {
  time("rope_and_write_kv", [&] { inner_->rope_and_write_kv(q, k, v, rope, kv, batch); });
}

void TimedBackend::attention(TensorView q, const engine::KvLayer& kv,
                             const engine::AttentionParams& params, const engine::BatchInput& batch,
                             TensorView out) {
  time("attention", [&] { inner_->attention(q, kv, params, batch, out); });
}

void TimedBackend::silu_and_mul(TensorView x, TensorView out) {
  time("silu_and_mul", [&] { inner_->silu_and_mul(x, out); });
}

void TimedBackend::gelu_tanh(TensorView x) {
  time("gelu_tanh", [&] { inner_->gelu_tanh(x); });
}

void TimedBackend::gather_rows(TensorView x, std::span<const std::int32_t> rows, TensorView out) {
  time("gather_rows", [&] { inner_->gather_rows(x, rows, out); });
}

void TimedBackend::parallel_for(std::int64_t n, void (*fn)(void* context, std::int64_t i),
                                void* context) {
  time("parallel_for", [&] { inner_->parallel_for(n, fn, context); });
}

}  // namespace quire::bench
