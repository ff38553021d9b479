#pragma once
// What the op tests and the benchmarks share: random matrices on both sides of the bus, and a step
// of a few sequences over a pool of pages in random order.

#include <cstdint>
#include <random>
#include <vector>

#include "engine/backend/backend.h"

namespace quire::engine::bench {

// A float32 matrix on the host and a copy of it in a backend's memory.
class Matrix {
 public:
  Matrix(std::int64_t rows, std::int64_t cols) : rows_(rows), cols_(cols) {
    values_.resize(static_cast<std::size_t>(rows * cols));
  }
  static Matrix random(std::int64_t rows, std::int64_t cols, std::mt19937& random);

  [[nodiscard]] float* data() { return values_.data(); }
  [[nodiscard]] const float* data() const { return values_.data(); }
  [[nodiscard]] std::int64_t rows() const { return rows_; }
  [[nodiscard]] std::int64_t cols() const { return cols_; }
  // In `backend`'s memory; the buffer is the caller's.
  [[nodiscard]] DeviceBuffer upload(Backend& backend) const;
  [[nodiscard]] TensorView view(const DeviceBuffer& buffer) const {
    return {.data = buffer.data(), .rows = rows_, .cols = cols_, .row_stride = cols_};
  }
  // As a weight of a file, in `dtype`; `bytes` owns it.
  [[nodiscard]] HostTensor as_weight(DType dtype, std::vector<std::byte>& bytes) const;

 private:
  std::int64_t rows_;
  std::int64_t cols_;
  std::vector<float> values_;
};

struct Chunk {
  std::int32_t first_position = 0;
  std::int32_t tokens = 1;
};

// The flat arrays of one step; sequences own pages in random order, `pages` of them each.
struct Step {
  Step(const std::vector<Chunk>& chunks, std::int32_t block_size, std::int32_t pages,
       unsigned seed = 7);
  [[nodiscard]] BatchInput batch(bool with_samples) const;

  std::vector<TokenId> tokens;
  std::vector<std::int32_t> positions;
  std::vector<std::int64_t> slots;
  std::vector<std::int32_t> query_start{0};
  std::vector<std::int32_t> context;
  std::vector<BlockId> blocks;
  std::vector<std::int32_t> block_start{0};
  std::vector<std::int32_t> samples;
};

// One layer of a pool of `pages` pages laid out for `layers`.
[[nodiscard]] KvLayer layer_of(std::int32_t heads, std::int32_t head_dim, DType dtype,
                               std::int32_t block_size, std::int32_t layers);

}  // namespace quire::engine::bench
