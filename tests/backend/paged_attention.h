#pragma once
// Sequences fed through a backend's pages in any order of chunks: what the attention tests share.
//
// Queries, keys and values are fixed random numbers per (sequence, position), so a schedule of
// chunks can be compared with any other. Every page is NaN at first and block ids outside a window
// are invalid: reading what was not written shows.

#include <cstdint>
#include <span>
#include <vector>

#include "tests/backend/tensors.h"

namespace quire::engine::testing {

struct AttentionShape {
  std::int32_t num_heads = 4;
  std::int32_t num_kv_heads = 2;
  std::int32_t head_dim = 16;
  std::int32_t rotary_dim = 0;
  std::int32_t window = 0;
  DType dtype = DType::kFloat32;
};

// `tokens` more tokens of sequence `sequence`.
struct Chunk {
  int sequence = 0;
  int tokens = 0;
};
using Step = std::vector<Chunk>;

class PagedSequences {
 public:
  PagedSequences(const AttentionShape& shape, std::vector<int> lengths, unsigned seed = 1);

  // Runs the steps on fresh pages of `block_size` tokens and returns the outputs, one matrix of
  // [length, num_heads * head_dim] per sequence; rows never computed stay 0.
  [[nodiscard]] std::vector<Matrix> run(Backend& backend, std::int32_t block_size,
                                        std::span<const Step> steps) const;

  [[nodiscard]] const std::vector<int>& lengths() const { return lengths_; }
  // Every sequence whole, all in one step.
  [[nodiscard]] std::vector<Step> whole() const;
  // One token of one sequence per step.
  [[nodiscard]] std::vector<Step> one_by_one() const;
  // Steps of random chunks, up to `largest` tokens each, of random sequences.
  [[nodiscard]] std::vector<Step> random_steps(unsigned seed, int largest) const;

 private:
  struct Pages;
  struct Batch;

  AttentionShape shape_;
  std::vector<int> lengths_;
  std::vector<Matrix> q_;
  std::vector<Matrix> k_;
  std::vector<Matrix> v_;
  std::vector<float> rope_;
};

// Sequence by sequence: within a tolerance, or to the last bit.
void check_close(const std::vector<Matrix>& actual, const std::vector<Matrix>& expected,
                 double tolerance);
void check_same(const std::vector<Matrix>& actual, const std::vector<Matrix>& expected);

}  // namespace quire::engine::testing
