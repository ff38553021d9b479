#pragma once
// The reference ops: plain float32 loops, one small file per op. Free functions without state; the
// arguments are those of Backend (engine/backend/backend.h), which is their specification.
//
// Written to be read and to be compared with, not to be fast. Where another backend must agree bit
// for bit (linear) the order of the arithmetic is stated here.

#include <cstdint>

#include "engine/backend/backend.h"

namespace quire::engine::reference {

// A weight widened to float32, row-major [rows, cols]: element (n, k) at data[n * cols + k].
struct DenseMatrix {
  const float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

// A weight in int8 (int8_format.h): values [rows, cols], scales [rows, groups].
struct Int8Matrix {
  const std::int8_t* values = nullptr;
  const float* scales = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

// out[t, n] = chain(0) + bias[n], where chain starts at +0 and takes acc = fma(x[t, k], w[n, k],
// acc) for k = 0, 1, ... K - 1.
void linear(TensorView x, const DenseMatrix& weight, const float* bias, TensorView out);
void embed(const DenseMatrix& table, std::span<const std::int32_t> ids, TensorView out);
// The product of int8_format.h; then + bias[n].
void int8_linear(TensorView x, const Int8Matrix& weight, const float* bias, TensorView out);
// out[t, k] = value * scale
void int8_embed(const Int8Matrix& table, std::span<const std::int32_t> ids, TensorView out);
void add(TensorView residual, TensorView delta);
void rms_norm(TensorView residual, TensorView delta, const float* weight, float epsilon,
              TensorView out);
void layer_norm(TensorView residual, TensorView delta, const float* weight, const float* bias,
                float epsilon, TensorView out);
void rope(TensorView x, std::int32_t head_dim, const RopeTable& table,
          std::span<const std::int32_t> positions);
void write_kv(TensorView k, TensorView v, const KvLayer& kv,
              std::span<const std::int64_t> slot_mapping);
void attention(TensorView q, const KvLayer& kv, const AttentionParams& params,
               const BatchInput& batch, TensorView out);
void silu_and_mul(TensorView x, TensorView out);
void gelu_tanh(TensorView x);
void gather_rows(TensorView x, std::span<const std::int32_t> rows, TensorView out);

}  // namespace quire::engine::reference
