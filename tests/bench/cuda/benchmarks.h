#pragma once
// The parts of `benchmarks`, and what they share.
//
// Weights, activations and pages hold random numbers, as multiplying zeros takes less power than
// any model does and would flatter the clock. Weights that a cache could keep between two products
// are there several times and used in turn.

#include <algorithm>
#include <functional>
#include <random>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/backend/cuda/quire_cuda_abi.h"
#include "tests/bench/cuda/cublas_lt.h"
#include "tests/bench/cuda/report.h"

namespace quire::engine::bench {

struct Bench {
  const QuireCudaApi& api;  // watched_api.h
  Backend& backend;
  Report& report;
  CublasLt* cublas = nullptr;  // null: not there
  bool small = false;          // sizes for a device that is emulated
};

inline constexpr int kRepeats = 20;

// How often to repeat what took so many seconds, so that a step's own time does not count.
[[nodiscard]] inline int repeats_of(double seconds) {
  return static_cast<int>(std::clamp(0.01 / seconds, double{kRepeats}, 500.0));
}

// A Llama-3-8B, or something tiny of the same make.
struct ModelShape {
  std::int32_t layers, heads, kv_heads;
  std::int64_t hidden, inner, vocab;
  static constexpr std::int32_t kHeadDim = 128;
  [[nodiscard]] std::int64_t query() const { return std::int64_t{heads} * kHeadDim; }
  [[nodiscard]] std::int64_t kv() const { return std::int64_t{kv_heads} * kHeadDim; }
  [[nodiscard]] std::int64_t qkv() const { return query() + 2 * kv(); }
};
[[nodiscard]] ModelShape model_shape(const Bench& bench);

// Random matrices of any size from one short table: row r begins at element r of it.
class RandomRows {
 public:
  explicit RandomRows(std::int64_t rows_and_cols);
  [[nodiscard]] HostTensor matrix(std::int64_t rows, std::int64_t cols) const;
  [[nodiscard]] std::unique_ptr<Weight> weight(Backend& backend, std::int64_t n,
                                               std::int64_t k) const;
  // float32, in the device's memory.
  [[nodiscard]] DeviceBuffer rows(Backend& backend, std::int64_t rows, std::int64_t cols) const;

 private:
  std::vector<std::byte> bytes_;  // bfloat16
};

// Seconds of one `op`, of many in one step, after a warm step. `op` gets its number.
double time_ops(Backend& backend, const BatchInput& batch, const std::function<void(int)>& op);

// [rows, cols] of memory as activations.
[[nodiscard]] TensorView activations(const DeviceBuffer& buffer, std::int64_t rows,
                                     std::int64_t cols);

// Writes random keys and values of `layers` layers to all pages of a pool; `first` is the first.
void fill_pages(Backend& backend, KvLayer first, std::int32_t layers, std::int64_t pages);

void bench_ceilings(Bench& bench);
void bench_attention(Bench& bench);
void bench_products(Bench& bench);
void bench_sampling(Bench& bench);
void bench_swaps(Bench& bench);
void bench_decode(Bench& bench);

}  // namespace quire::engine::bench
