#pragma once
// StepQueue: the ops of a step in order: recorded, then started together.
//
// Where replaying is on, ops equal byte for byte to ones that ran before are started as the CUDA
// graph that was captured of them then: one call instead of one per kernel. The key is the ops
// themselves, so a graph can never stand for other work. At most kMaxGraphs are kept, the first
// ones seen; what comes after them runs op by op. One owner, the engine thread. Allocates only
// where a graph is captured.

#include <cstdint>
#include <vector>

#include "engine/backend/cuda/device.h"

namespace quire::engine::cuda {

class StepQueue final {
 public:
  // Captured graphs take device memory: some 100 KiB each.
  static constexpr std::size_t kMaxGraphs = 128;

  StepQueue(Device& device, Stream& stream);
  ~StepQueue();
  StepQueue(const StepQueue&) = delete;
  StepQueue& operator=(const StepQueue&) = delete;

  void begin(bool replay);
  void push(const QuireCudaOp& op) { ops_.push_back(op); }
  [[nodiscard]] bool empty() const { return ops_.empty(); }
  // Starts what was pushed since the last call.
  void flush();
  [[nodiscard]] std::size_t num_graphs() const { return graphs_.size(); }

 private:
  struct Graph {
    std::vector<QuireCudaOp> ops;
    QuireCudaGraph* handle = nullptr;
  };
  [[nodiscard]] QuireCudaGraph* find() const;
  [[nodiscard]] QuireCudaGraph* capture();

  Device* device_;
  Stream* stream_;
  bool replay_ = false;
  std::vector<QuireCudaOp> ops_;
  std::vector<Graph> graphs_;
};

}  // namespace quire::engine::cuda
