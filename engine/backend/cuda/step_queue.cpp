#include "engine/backend/cuda/step_queue.h"

#include <cstring>
#include <type_traits>

namespace quire::engine::cuda {

namespace {

constexpr std::size_t kUsualOps = 4096;  // a step of a model of some 400 layers

// Equal ops are equal bytes: no padding may hide in them.
static_assert(std::is_trivially_copyable_v<QuireCudaOp>);
static_assert(sizeof(QuireCudaTensor) == 32 && sizeof(QuireCudaNarrowCopy) == 24 &&
              sizeof(QuireCudaWeight) == 40 && sizeof(QuireCudaKv) == 48 &&
              sizeof(QuireCudaAttentionWork) == 72 && sizeof(QuireCudaSampleWork) == 40);
static_assert(sizeof(QuireCudaOp) == 16 + 4 * 32 + 24 + 40 + 4 * 8 + 48 + 72 + 16 + 40);

}  // namespace

StepQueue::StepQueue(Device& device, Stream& stream) : device_(&device), stream_(&stream) {
  ops_.reserve(kUsualOps);
  graphs_.reserve(kMaxGraphs);
}

StepQueue::~StepQueue() {
  for (const Graph& graph : graphs_) (void)device_->api().destroy_graph(graph.handle);
}

void StepQueue::begin(bool replay) {
  replay_ = replay;
  ops_.clear();
}

void StepQueue::flush() {
  if (ops_.empty()) return;
  QuireCudaGraph* graph = replay_ ? find() : nullptr;
  if (graph == nullptr && replay_ && graphs_.size() < kMaxGraphs) graph = capture();
  if (graph != nullptr) {
    stream_->launch(graph);
  } else {
    stream_->run(ops_);
  }
  ops_.clear();
}

// Steps of different sizes differ in their first op already.
QuireCudaGraph* StepQueue::find() const {
  for (const Graph& graph : graphs_) {
    if (graph.ops.size() == ops_.size() &&
        std::memcmp(graph.ops.data(), ops_.data(), ops_.size() * sizeof(QuireCudaOp)) == 0) {
      return graph.handle;
    }
  }
  return nullptr;
}

QuireCudaGraph* StepQueue::capture() {
  QuireCudaGraph* handle = stream_->make_graph(ops_);
  graphs_.push_back({.ops = ops_, .handle = handle});
  return handle;
}

}  // namespace quire::engine::cuda
