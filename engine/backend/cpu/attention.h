#pragma once
// Attention: causal attention over pages for any mix of prefill chunks and decodes.
//
// There is no decode and no prefill: a work item is a run of tokens of one row, one KV head and up
// to kMaxAttentionRows (token, query head) pairs, which share every key and value they read. A
// decoded token is a run of one. Runs, items and threads cannot be seen in the result: each query's
// arithmetic is that of attention_kernel.inc over the tiles of its own keys.

#include <cstdint>

#include "engine/backend/backend.h"
#include "engine/backend/cpu/kernels.h"
#include "engine/backend/cpu/thread_pool.h"
#include "engine/backend/host_memory.h"

namespace quire::engine::cpu {

class Attention final {
 public:
  Attention(const Kernels& kernels, ThreadPool& pool) : kernels_(kernels), pool_(pool) {}

  void reserve(std::int64_t max_rows);
  // Throws StartupError for a head size above kMaxHeadDim: a model meets it at its first token,
  // before it is ready.
  void run(TensorView q, const KvLayer& kv, const AttentionParams& params, const BatchInput& batch,
           TensorView out);

 private:
  struct Call;
  struct Item;
  struct Scratch;
  struct Run {  // tokens [first, last) of an item
    int first = 0;
    int last = 0;
  };

  [[nodiscard]] std::int64_t cut(Call& call);
  [[nodiscard]] Item item_at(const Call& call, std::int64_t index) const;
  [[nodiscard]] Run mark_seen(const Call& call, const Item& item, std::int64_t tile_begin,
                              Scratch& state) const;
  void run_item(const Call& call, const Item& item, int worker) const;
  void widen(DType dtype, AttentionTile& tile, Scratch& state) const;
  [[nodiscard]] Scratch& scratch(int worker) const;

  const Kernels& kernels_;
  ThreadPool& pool_;
  std::int64_t max_rows_ = 0;
  HostMemory first_run_;  // [max_rows + 1] of std::int64_t: runs of tokens before each row
  HostMemory scratch_;    // [worker]
};

}  // namespace quire::engine::cpu
