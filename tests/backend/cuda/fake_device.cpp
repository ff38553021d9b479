#include "tests/backend/cuda/fake_device.h"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "tests/backend/cuda/emulated_ops.h"

using quire::engine::cuda::testing::emulate;
using quire::engine::cuda::testing::fake_device;

struct QuireCudaContext {
  std::map<void*, std::int64_t> device;
  std::map<void*, std::int64_t> pinned;
  int streams = 0;  // created
};

// Tasks are numbered from the stream's beginning; those from `done` on are to be run.
struct QuireCudaStream {
  bool eager = false;  // each task as soon as it is queued
  std::deque<std::function<void()>> tasks;
  std::int64_t done = 0;

  [[nodiscard]] std::int64_t end() const { return done + static_cast<std::int64_t>(tasks.size()); }
  void queue(std::function<void()> task) {
    tasks.push_back(std::move(task));
    if (eager) run_to(end());
  }
  void run_to(std::int64_t position) {
    while (done < position) {
      const std::function<void()> task = std::move(tasks.front());
      tasks.pop_front();
      ++done;
      task();
    }
  }
};

struct QuireCudaEvent {
  QuireCudaStream* stream = nullptr;
  std::int64_t position = 0;
};

struct QuireCudaGraph {
  std::vector<QuireCudaOp> ops;
};

namespace {

std::string last_error;

int32_t fail(int32_t status, const char* text) {
  last_error = text;
  return status;
}

// The status of a call on a device that may be lost.
int32_t health() {
  return fake_device().lost ? fail(kQuireCudaLost, "the fake device is lost") : kQuireCudaOk;
}

const char* error_text() { return last_error.c_str(); }

int32_t open_device(int32_t ordinal, QuireCudaContext** context, QuireCudaInfo* info) {
  if (!fake_device().present || ordinal != 0) {
    return fail(kQuireCudaNoDevice, "the fake machine has no GPU");
  }
  *context = new QuireCudaContext;
  *info = {};
  std::strncpy(info->name, "fake", sizeof info->name - 1);
  info->major = 9;
  info->multiprocessors = 4;
  info->memory_bytes = fake_device().memory_bytes;
  return kQuireCudaOk;
}

void close_device(QuireCudaContext* context) { delete context; }

int32_t free_memory(QuireCudaContext*, int64_t* bytes) {
  *bytes = fake_device().memory_bytes - fake_device().used_bytes;
  return health();
}

int32_t allocate(QuireCudaContext* context, int32_t memory, int64_t bytes, void** data) {
  if (health() != kQuireCudaOk) return kQuireCudaLost;
  const bool device = memory == kQuireCudaDevice;
  if (device && bytes > fake_device().memory_bytes - fake_device().used_bytes) {
    return fail(kQuireCudaOutOfMemory, "out of memory");
  }
  *data = std::calloc(1, static_cast<std::size_t>(bytes) + 64);
  if (*data == nullptr) return fail(kQuireCudaOutOfMemory, "out of host memory");
  (device ? context->device : context->pinned)[*data] = bytes;
  (device ? fake_device().used_bytes : fake_device().pinned_bytes) += bytes;
  return kQuireCudaOk;
}

int32_t release(QuireCudaContext* context, int32_t memory, void* data) {
  auto& known = memory == kQuireCudaDevice ? context->device : context->pinned;
  const auto found = known.find(data);
  if (found == known.end()) return fail(kQuireCudaRefused, "unknown memory");
  (memory == kQuireCudaDevice ? fake_device().used_bytes : fake_device().pinned_bytes) -=
      found->second;
  known.erase(found);
  std::free(data);
  return kQuireCudaOk;
}

int32_t create_stream(QuireCudaContext* context, QuireCudaStream** stream) {
  *stream = new QuireCudaStream;
  (*stream)->eager = fake_device().eager_copies && context->streams > 0;
  ++context->streams;
  return health();
}

int32_t destroy_stream(QuireCudaStream* stream) {
  delete stream;
  return kQuireCudaOk;
}

int32_t synchronize_stream(QuireCudaStream* stream) {
  ++fake_device().waits;
  if (health() != kQuireCudaOk) return kQuireCudaLost;
  stream->run_to(stream->end());
  return health();
}

int32_t create_event(QuireCudaContext*, QuireCudaEvent** event) {
  *event = new QuireCudaEvent;
  return health();
}

int32_t destroy_event(QuireCudaEvent* event) {
  delete event;
  return kQuireCudaOk;
}

int32_t record_event(QuireCudaEvent* event, QuireCudaStream* stream) {
  *event = {.stream = stream, .position = stream->end()};
  return health();
}

void finish(const QuireCudaEvent& event) {
  if (event.stream != nullptr) event.stream->run_to(event.position);
}

int32_t wait_event(QuireCudaStream* stream, QuireCudaEvent* event) {
  stream->queue([event = *event] { finish(event); });
  return health();
}

int32_t synchronize_event(QuireCudaEvent* event) {
  ++fake_device().waits;
  if (health() != kQuireCudaOk) return kQuireCudaLost;
  finish(*event);
  return health();
}

int32_t query_event(QuireCudaEvent* event, int32_t* done) {
  *done = event->stream == nullptr || event->stream->done >= event->position ? 1 : 0;
  return health();
}

int32_t copy(QuireCudaStream* stream, void* to, const void* from, int64_t bytes) {
  if (health() != kQuireCudaOk) return kQuireCudaLost;
  ++fake_device().copies;
  stream->queue([=] { std::memmove(to, from, static_cast<std::size_t>(bytes)); });
  return kQuireCudaOk;
}

void queue_ops(QuireCudaStream* stream, const QuireCudaOp* ops, int64_t num_ops) {
  for (int64_t i = 0; i < num_ops; ++i) {
    ++fake_device().ops;
    stream->queue([op = ops[i]] {
      auto& device = fake_device();
      if (device.ops_before_loss == 0) device.lost = true;
      if (device.ops_before_loss > 0) --device.ops_before_loss;
      ++device.ops_done;
      if (!device.lost) emulate(op);
    });
  }
}

int32_t run(QuireCudaStream* stream, const QuireCudaOp* ops, int64_t num_ops) {
  if (health() != kQuireCudaOk) return kQuireCudaLost;
  ++fake_device().runs;
  queue_ops(stream, ops, num_ops);
  return kQuireCudaOk;
}

int32_t create_graph(QuireCudaStream*, const QuireCudaOp* ops, int64_t num_ops,
                     QuireCudaGraph** graph) {
  if (health() != kQuireCudaOk) return kQuireCudaLost;
  *graph = new QuireCudaGraph{{ops, ops + num_ops}};
  ++fake_device().graphs;
  return kQuireCudaOk;
}

int32_t launch_graph(QuireCudaStream* stream, QuireCudaGraph* graph) {
  if (health() != kQuireCudaOk) return kQuireCudaLost;
  ++fake_device().graph_launches;
  queue_ops(stream, graph->ops.data(), static_cast<int64_t>(graph->ops.size()));
  return kQuireCudaOk;
}

int32_t destroy_graph(QuireCudaGraph* graph) {
  --fake_device().graphs;
  delete graph;
  return kQuireCudaOk;
}

}  // namespace

namespace quire::engine::cuda::testing {

FakeDevice& fake_device() {
  static FakeDevice device;
  return device;
}

const QuireCudaApi& fake_api() {
  static const QuireCudaApi kApi{.version = QUIRE_CUDA_ABI_VERSION,
                                 .op_bytes = sizeof(QuireCudaOp),
                                 .error_text = error_text,
                                 .open = open_device,
                                 .close = close_device,
                                 .free_memory = free_memory,
                                 .allocate = allocate,
                                 .release = release,
                                 .create_stream = create_stream,
                                 .destroy_stream = destroy_stream,
                                 .synchronize_stream = synchronize_stream,
                                 .create_event = create_event,
                                 .destroy_event = destroy_event,
                                 .record_event = record_event,
                                 .wait_event = wait_event,
                                 .synchronize_event = synchronize_event,
                                 .query_event = query_event,
                                 .copy = copy,
                                 .run = run,
                                 .create_graph = create_graph,
                                 .launch_graph = launch_graph,
                                 .destroy_graph = destroy_graph};
  return kApi;
}

}  // namespace quire::engine::cuda::testing
