#pragma once
// Linear: x W^T + bias on packed weights, cut into blocks for the caches and the threads.
//
// Rows go in groups of kGroupRows, evenly split into blocks of at most the kernels' tile; k goes in
// blocks of at most kDepth, small enough that a packed block of x rests in cache; panels are the
// work items of the threads. Every element is the serial chain over k that the reference computes
// (linear_kernel.inc, int8_kernel.inc, amx_kernel.inc), so none of these cuts can be seen in the
// result.

#include <cstdint>

#include "engine/backend/cpu/kernels.h"
#include "engine/backend/cpu/packed_weight.h"
#include "engine/backend/cpu/thread_pool.h"
#include "engine/backend/host_memory.h"
#include "engine/tensor.h"

namespace quire::engine::cpu {

class Linear final {
 public:
  Linear(const Kernels& kernels, ThreadPool& pool) : kernels_(kernels), pool_(pool) {}

  // Workspace for products with up to max_features inputs.
  void reserve(std::int64_t max_features);
  void run(TensorView x, const PackedWeight& weight, const float* bias, TensorView out);

 private:
  static constexpr std::int64_t kGroupRows = 512;
  static constexpr std::int64_t kDepth = 768;

  // One group of rows against one weight.
  struct Job {
    TensorView x;
    const PackedWeight& weight;
    const LinearKernels& kernels;
    const float* bias;
    TensorView out;
    std::int64_t num_blocks = 0;   // of rows
    std::int64_t num_depths = 0;   // blocks of k
    std::int64_t depth = 0;        // units of k per block but the last
    std::int64_t block_words = 0;  // of a packed block of x

    [[nodiscard]] std::int64_t first_row(std::int64_t block) const {
      return block * x.rows / num_blocks;
    }
    [[nodiscard]] int block_rows(std::int64_t block) const {
      return static_cast<int>(first_row(block + 1) - first_row(block));
    }
    [[nodiscard]] std::int64_t depth_at(std::int64_t depth_block) const;
  };

  [[nodiscard]] Job plan(TensorView x, const PackedWeight& weight, const float* bias,
                         TensorView out) const;
  void run_group(const Job& job);
  void pack(const Job& job);
  void run_panel(const Job& job, const WorkItem& item, std::int64_t depth_begin,
                 std::int64_t depth_end);
  void run_tiles(const Job& job, LinearTile tile, int worker, std::int64_t unit);
  [[nodiscard]] float* packed_at(const Job& job, std::int64_t block, std::int64_t unit) const;
  [[nodiscard]] const float* packed(const Job& job, std::int64_t block, std::int64_t unit) const;

  const Kernels& kernels_;
  ThreadPool& pool_;
  std::int64_t max_features_ = 0;
  HostMemory packed_;   // x of one group: [block][unit][word][stride]
  HostMemory scratch_;  // [worker]: a widened panel block, then the partial sums of a padded panel
};

}  // namespace quire::engine::cpu
