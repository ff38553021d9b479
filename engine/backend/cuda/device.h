#pragma once
// Device: a plug-in's function table with owners for what it hands out, and exceptions for its
// status codes.
//
// One owner, the engine thread (and the loading thread before it). Streams, events and memory are
// given back before the Device goes. Errors: StartupError from the constructor and where memory
// cannot be had; DeviceLost everywhere else: no later call can succeed, and the engine loop ends.

#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "engine/backend/cuda/quire_cuda_abi.h"

namespace quire::engine::cuda {

class DeviceLost final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Device final {
 public:
  // The table outlives the device.
  explicit Device(const QuireCudaApi& api, std::int32_t ordinal = 0);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  [[nodiscard]] const QuireCudaApi& api() const { return *api_; }
  [[nodiscard]] QuireCudaContext* context() const { return context_; }
  [[nodiscard]] const QuireCudaInfo& info() const { return info_; }
  [[nodiscard]] std::int64_t free_memory() const;

  // Zeroed memory; StartupError where there is none.
  [[nodiscard]] void* allocate(QuireCudaMemory memory, std::int64_t bytes);
  void release(QuireCudaMemory memory, void* data) noexcept;

  // Throws DeviceLost unless `status` is 0.
  void check(std::int32_t status, const char* what) const;

 private:
  const QuireCudaApi* api_;
  QuireCudaContext* context_ = nullptr;
  QuireCudaInfo info_{};
};

// Memory of a device, or pinned memory of the host.
class Memory final {
 public:
  Memory() = default;
  Memory(Device& device, QuireCudaMemory kind, std::int64_t bytes)
      : device_(&device), kind_(kind), data_(device.allocate(kind, bytes)), bytes_(bytes) {}
  Memory(Memory&& other) noexcept { swap(other); }
  Memory& operator=(Memory&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Memory() {
    if (device_ != nullptr) device_->release(kind_, data_);
  }

  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(data_); }
  [[nodiscard]] float* floats() const { return static_cast<float*>(data_); }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  void swap(Memory& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(kind_, other.kind_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  Device* device_ = nullptr;
  QuireCudaMemory kind_ = kQuireCudaDevice;
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

class Event final {
 public:
  explicit Event(Device& device);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void synchronize();
  [[nodiscard]] bool done() const;
  [[nodiscard]] QuireCudaEvent* handle() const { return event_; }

 private:
  Device* device_;
  QuireCudaEvent* event_ = nullptr;
};

class Stream final {
 public:
  explicit Stream(Device& device);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void copy(void* to, const void* from, std::int64_t bytes);
  void run(std::span<const QuireCudaOp> ops);
  // The caller destroys the graph (Device::api().destroy_graph).
  [[nodiscard]] QuireCudaGraph* make_graph(std::span<const QuireCudaOp> ops);
  void launch(QuireCudaGraph* graph);
  void record(Event& event);
  void wait(const Event& event);
  void synchronize();
  // The same before memory is given back: a device that is lost has nothing under way.
  void drain() noexcept;

 private:
  Device* device_;
  QuireCudaStream* stream_ = nullptr;
};

}  // namespace quire::engine::cuda
