#include "engine/backend/cuda/device.h"

#include "proto/error.h"

namespace quire::engine::cuda {

Device::Device(const QuireCudaApi& api, std::int32_t ordinal) : api_(&api) {
  if (api.open(ordinal, &context_, &info_) != kQuireCudaOk) {
    throw StartupError("no usable GPU: " + std::string(api.error_text()));
  }
}

Device::~Device() { api_->close(context_); }

std::int64_t Device::free_memory() const {
  std::int64_t bytes = 0;
  check(api_->free_memory(context_, &bytes), "free memory");
  return bytes;
}

void* Device::allocate(QuireCudaMemory memory, std::int64_t bytes) {
  void* data = nullptr;
  const std::int32_t status = api_->allocate(context_, memory, bytes, &data);
  if (status == kQuireCudaOutOfMemory) {
    throw StartupError(std::string(memory == kQuireCudaDevice ? "GPU" : "pinned") +
                       " memory: " + std::to_string(bytes) + " bytes cannot be had");
  }
  check(status, "allocate");
  return data;
}

void Device::release(QuireCudaMemory memory, void* data) noexcept {
  // At the end of a life nobody can act on a failure; a lost device fails here once more.
  (void)api_->release(context_, memory, data);
}

void Device::check(std::int32_t status, const char* what) const {
  if (status == kQuireCudaOk) return;
  throw DeviceLost(std::string("GPU: ") + what + ": " + api_->error_text());
}

Event::Event(Device& device) : device_(&device) {
  device.check(device.api().create_event(device.context(), &event_), "create event");
}

Event::~Event() { (void)device_->api().destroy_event(event_); }

void Event::synchronize() {
  device_->check(device_->api().synchronize_event(event_), "wait for event");
}

bool Event::done() const {
  std::int32_t done = 0;
  device_->check(device_->api().query_event(event_, &done), "query event");
  return done != 0;
}

Stream::Stream(Device& device) : device_(&device) {
  device.check(device.api().create_stream(device.context(), &stream_), "create stream");
}

Stream::~Stream() { (void)device_->api().destroy_stream(stream_); }

void Stream::copy(void* to, const void* from, std::int64_t bytes) {
  if (bytes > 0) device_->check(device_->api().copy(stream_, to, from, bytes), "copy");
}

void Stream::run(std::span<const QuireCudaOp> ops) {
  if (ops.empty()) return;
  const auto count = static_cast<std::int64_t>(ops.size());
  device_->check(device_->api().run(stream_, ops.data(), count), "run");
}

QuireCudaGraph* Stream::make_graph(std::span<const QuireCudaOp> ops) {
  QuireCudaGraph* graph = nullptr;
  const auto count = static_cast<std::int64_t>(ops.size());
  device_->check(device_->api().create_graph(stream_, ops.data(), count, &graph), "capture graph");
  return graph;
}

void Stream::launch(QuireCudaGraph* graph) {
  device_->check(device_->api().launch_graph(stream_, graph), "launch graph");
}

void Stream::record(Event& event) {
  device_->check(device_->api().record_event(event.handle(), stream_), "record event");
}

void Stream::wait(const Event& event) {
  device_->check(device_->api().wait_event(stream_, event.handle()), "wait for event");
}

void Stream::drain() noexcept { (void)device_->api().synchronize_stream(stream_); }

void Stream::synchronize() {
  device_->check(device_->api().synchronize_stream(stream_), "synchronize");
}

}  // namespace quire::engine::cuda
