#pragma once
// StepUpload: everything of a step that kernels read and that changes from step to step, laid out
// in one pinned buffer and sent in one copy.
//
// Addresses in device memory are given out while ops are recorded; contents are complete at send().
// 1. A step padded to a given number of rows gets the same addresses every time, so that its ops
// are
//    the same bytes and its graph can be replayed: what varies in length (block tables) comes last,
//    and is found through indices in the work items.
// 2. Between send() and the end of the step's work on the stream the host does not write there: the
//    step after it has the other of two pinned buffers, and the one after that begins when this
//    one's end was seen. In device memory there is one: a step's data arrives on the stream, behind
//    the step before.
// One owner, the engine thread. Allocates at construction only.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/backend/cuda/attention_plan.h"
#include "engine/backend/cuda/device.h"
#include "engine/batch_input.h"

namespace quire::engine::cuda {

struct UploadLimits {
  AttentionLimits attention;
  std::int64_t max_samples = 0;
  std::int64_t max_blocks = 0;  // in all tables of a step
  std::int32_t max_group = 0;   // query heads per KV head
};

class StepUpload final {
 public:
  StepUpload(Device& device, const UploadLimits& limits);

  // padded_tokens > 0: a decode step padded to so many rows. The batch outlives the step.
  void begin(const BatchInput& batch, std::int64_t padded_tokens);

  // Where the device finds these values, padded to `count`: the step's own arrays, or a copy.
  [[nodiscard]] const std::int32_t* ids(std::span<const std::int32_t> values, std::int64_t count);
  [[nodiscard]] const std::int32_t* positions() const { return positions_; }
  [[nodiscard]] const std::int64_t* slots() const { return slots_; }
  // The work of this kind of attention; fields of the model's are left to the caller.
  [[nodiscard]] QuireCudaAttentionWork attention(const AttentionKind& kind);

  void send(Stream& stream);

 private:
  struct Work {
    AttentionKind kind;
    AttentionPlan plan;
    QuireCudaAttentionWork device{};
    bool filled = false;
  };
  static constexpr std::size_t kMaxKinds = 4;  // of attention in one model

  // Room for `count` values of T; the device's address.
  template <typename T>
  T* take(std::int64_t count);
  template <typename T>
  [[nodiscard]] T* on_host(const T* device) const;
  template <typename T>
  const T* store(std::span<const T> values, std::int64_t count, T padding);
  Work& new_work(const AttentionKind& kind);
  void fill(Work& work, std::int64_t first_block_index);

  UploadLimits limits_;
  std::array<Memory, 2> host_;  // by turns
  std::size_t turn_ = 0;
  Memory device_;
  std::int64_t used_ = 0;
  std::int64_t sent_ = 0;
  BatchInput batch_;
  std::int64_t padded_tokens_ = 0;
  const std::int32_t* token_ids_ = nullptr;
  const std::int32_t* positions_ = nullptr;
  const std::int64_t* slots_ = nullptr;
  const std::int32_t* samples_ = nullptr;
  std::int64_t block_index_ = -1;  // of the tables, in int32 from the buffer's start
  std::vector<Work> works_;
  std::size_t num_works_ = 0;
};

}  // namespace quire::engine::cuda
