// libquire_cuda.so: the C ABI (quire_cuda_abi.h) over the CUDA runtime.
//
// Streams are blocking towards nothing, events carry no time. A failed call is remembered by the
// runtime until the process ends where it is sticky; every later call then fails as well.

#include <cuda_runtime.h>

#include <cstring>
#include <new>
#include <string>

#include "engine/backend/cuda/kernels/launch.h"
#include "engine/backend/cuda/quire_cuda_abi.h"
#include "engine/backend/cuda/schedule.h"

struct QuireCudaContext {
  int32_t ordinal;
};
struct QuireCudaStream {
  cudaStream_t stream;
};
struct QuireCudaEvent {
  cudaEvent_t event;
};
struct QuireCudaGraph {
  cudaGraphExec_t graph;
};

namespace {

using namespace quire::engine::cuda;

thread_local std::string last_error;

int32_t refuse(int32_t status, std::string text) {
  last_error = std::move(text);
  return status;
}

// The status of a runtime call; the error is taken out of the runtime where it is not sticky.
int32_t status_of(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return kQuireCudaOk;
  (void)cudaGetLastError();
  last_error = std::string(what) + ": " + cudaGetErrorString(error);
  if (error == cudaErrorMemoryAllocation) return kQuireCudaOutOfMemory;
  const bool none = error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver ||
                    error == cudaErrorInvalidDevice;
  return none ? kQuireCudaNoDevice : kQuireCudaLost;
}

const char* error_text() { return last_error.c_str(); }

// Makes the kernels ready; a device that this build has no code for fails here.
int32_t prepare_kernels() {
  for (const cudaError_t error :
       {prepare_linear(), prepare_attention_float16(), prepare_attention_bfloat16(),
        prepare_attention_int8(), prepare_attention_fp8()}) {
    if (error != cudaSuccess) return status_of(error, "this build's kernels on this GPU");
  }
  return kQuireCudaOk;
}

int32_t open_device(int32_t ordinal, QuireCudaContext** context, QuireCudaInfo* info) {
  int count = 0;
  if (const int32_t status = status_of(cudaGetDeviceCount(&count), "finding a GPU")) return status;
  if (ordinal >= count) return refuse(kQuireCudaNoDevice, "there is no such GPU");
  cudaDeviceProp properties{};
  if (const int32_t status =
          status_of(cudaGetDeviceProperties(&properties, ordinal), "its properties")) {
    return status;
  }
  if (properties.major < 8) return refuse(kQuireCudaNoDevice, "the GPU is older than sm_80");
  // The thread that waits sleeps: cores belong to the server's other threads.
  (void)cudaSetDeviceFlags(cudaDeviceScheduleBlockingSync);
  (void)cudaGetLastError();  // a wish, no more
  if (const int32_t status = status_of(cudaSetDevice(ordinal), "the GPU")) return status;
  if (const int32_t status = prepare_kernels()) return status;
  *info = {};
  std::memcpy(info->name, properties.name, sizeof info->name - 1);  // the last byte stays 0
  info->major = properties.major;
  info->minor = properties.minor;
  info->multiprocessors = properties.multiProcessorCount;
  info->memory_bytes = static_cast<int64_t>(properties.totalGlobalMem);
  *context = new QuireCudaContext{ordinal};
  return kQuireCudaOk;
}

void close_device(QuireCudaContext* context) { delete context; }

// The engine thread is another than the one that loaded.
int32_t enter(const QuireCudaContext* context) {
  return status_of(cudaSetDevice(context->ordinal), "the GPU");
}

int32_t free_memory(QuireCudaContext* context, int64_t* bytes) {
  if (const int32_t status = enter(context)) return status;
  size_t free = 0;
  size_t total = 0;
  const int32_t status = status_of(cudaMemGetInfo(&free, &total), "free memory");
  *bytes = static_cast<int64_t>(free);
  return status;
}

int32_t allocate(QuireCudaContext* context, int32_t memory, int64_t bytes, void** data) {
  if (const int32_t status = enter(context)) return status;
  const auto size = static_cast<size_t>(bytes > 0 ? bytes : 1);
  if (memory == kQuireCudaPinned) {
    const int32_t status = status_of(cudaMallocHost(data, size), "pinned memory");
    if (status == kQuireCudaOk) std::memset(*data, 0, size);
    return status;
  }
  if (const int32_t status = status_of(cudaMalloc(data, size), "memory")) return status;
  if (const int32_t status = status_of(cudaMemset(*data, 0, size), "clearing memory"))
    return status;
  return status_of(cudaDeviceSynchronize(), "clearing memory");
}

int32_t release(QuireCudaContext*, int32_t memory, void* data) {
  return status_of(memory == kQuireCudaPinned ? cudaFreeHost(data) : cudaFree(data), "release");
}

int32_t create_stream(QuireCudaContext* context, QuireCudaStream** stream) {
  if (const int32_t status = enter(context)) return status;
  cudaStream_t made = nullptr;
  const int32_t status =
      status_of(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "stream");
  if (status == kQuireCudaOk) *stream = new QuireCudaStream{made};
  return status;
}

int32_t destroy_stream(QuireCudaStream* stream) {
  const int32_t status = status_of(cudaStreamDestroy(stream->stream), "stream");
  delete stream;
  return status;
}

int32_t synchronize_stream(QuireCudaStream* stream) {
  return status_of(cudaStreamSynchronize(stream->stream), "a kernel or copy");
}

int32_t create_event(QuireCudaContext* context, QuireCudaEvent** event) {
  if (const int32_t status = enter(context)) return status;
  cudaEvent_t made = nullptr;
  const int32_t status = status_of(
      cudaEventCreateWithFlags(&made, cudaEventDisableTiming | cudaEventBlockingSync), "event");
  if (status == kQuireCudaOk) *event = new QuireCudaEvent{made};
  return status;
}

int32_t destroy_event(QuireCudaEvent* event) {
  const int32_t status = status_of(cudaEventDestroy(event->event), "event");
  delete event;
  return status;
}

int32_t record_event(QuireCudaEvent* event, QuireCudaStream* stream) {
  return status_of(cudaEventRecord(event->event, stream->stream), "event");
}

int32_t wait_event(QuireCudaStream* stream, QuireCudaEvent* event) {
  return status_of(cudaStreamWaitEvent(stream->stream, event->event, 0), "event");
}

int32_t synchronize_event(QuireCudaEvent* event) {
  return status_of(cudaEventSynchronize(event->event), "a kernel or copy");
}

int32_t query_event(QuireCudaEvent* event, int32_t* done) {
  const cudaError_t error = cudaEventQuery(event->event);
  *done = error == cudaSuccess ? 1 : 0;
  if (error == cudaErrorNotReady) (void)cudaGetLastError();  // or the next launch would report it
  return error == cudaErrorNotReady ? kQuireCudaOk : status_of(error, "event");
}

int32_t copy(QuireCudaStream* stream, void* to, const void* from, int64_t bytes) {
  return status_of(
      cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDefault, stream->stream),
      "copy");
}

// By the type of the pages.
cudaError_t launch_attention_items(const QuireCudaOp& op, cudaStream_t stream) {
  switch (op.kv.type) {
    case kQuireCudaFloat32:
      return launch_attention_float32(op, stream);
    case kQuireCudaFloat16:
      return launch_attention_float16(op, stream);
    case kQuireCudaBFloat16:
      return launch_attention_bfloat16(op, stream);
    case kQuireCudaInt8:
      return launch_attention_int8(op, stream);
    case kQuireCudaFp8:
      return launch_attention_fp8(op, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

cudaError_t launch_attention(const QuireCudaOp& op, cudaStream_t stream) {
  const QuireCudaNarrowCopy& narrow = op.narrow;
  const int64_t tail = narrow.row_stride - op.out.cols;
  // Kernels write a row's heads only.
  if (narrow.data != nullptr && tail > 0) {
    char* first = static_cast<char*>(narrow.data) + op.out.cols * 2;
    const cudaError_t error =
        cudaMemset2DAsync(first, static_cast<size_t>(narrow.row_stride) * 2, 0,
                          static_cast<size_t>(tail) * 2, static_cast<size_t>(op.out.rows), stream);
    if (error != cudaSuccess) return error;
  }
  cudaError_t error = launch_attention_items(op, stream);
  if (error == cudaSuccess) error = launch_attention_merge(op, stream);
  if (error != cudaSuccess || op.kv.type != kQuireCudaFloat32 || narrow.data == nullptr) {
    return error;
  }
  QuireCudaOp convert = op;
  convert.x = op.out;
  return launch_narrow(convert, stream);
}

cudaError_t launch(const QuireCudaOp& op, cudaStream_t stream) {
  switch (op.kind) {
    case kQuireCudaEmbed:
      return launch_embed(op, stream);
    case kQuireCudaAdd:
      return launch_add(op, stream);
    case kQuireCudaNarrow:
      return launch_narrow(op, stream);
    case kQuireCudaLinear:
      return op.weight.type == kQuireCudaFloat32 ? launch_linear_float32(op, stream)
                                                 : launch_linear(op, stream);
    case kQuireCudaRmsNorm:
    case kQuireCudaLayerNorm:
      return launch_norm(op, stream);
    case kQuireCudaRopeWrite:
      return launch_rope_write(op, stream);
    case kQuireCudaAttention:
      return launch_attention(op, stream);
    case kQuireCudaSiluMul:
      return launch_silu_mul(op, stream);
    case kQuireCudaGelu:
      return launch_gelu(op, stream);
    case kQuireCudaGather:
      return launch_gather(op, stream);
    case kQuireCudaSample:
      return launch_sample(op, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

int32_t run(QuireCudaStream* stream, const QuireCudaOp* ops, int64_t num_ops) {
  for (int64_t i = 0; i < num_ops; ++i) {
    const cudaError_t error = launch(ops[i], stream->stream);
    if (error == cudaSuccess) continue;
    const std::string what = "op " + std::to_string(i) + " of kind " + std::to_string(ops[i].kind);
    return status_of(error, what.c_str());
  }
  return kQuireCudaOk;
}

int32_t create_graph(QuireCudaStream* stream, const QuireCudaOp* ops, int64_t num_ops,
                     QuireCudaGraph** graph) {
  if (const int32_t status = status_of(
          cudaStreamBeginCapture(stream->stream, cudaStreamCaptureModeThreadLocal), "capture")) {
    return status;
  }
  const int32_t launched = run(stream, ops, num_ops);
  cudaGraph_t captured = nullptr;
  const int32_t ended = status_of(cudaStreamEndCapture(stream->stream, &captured), "capture");
  if (launched != kQuireCudaOk || ended != kQuireCudaOk) {
    return launched != kQuireCudaOk ? launched : ended;
  }
  cudaGraphExec_t made = nullptr;
  const int32_t status = status_of(cudaGraphInstantiate(&made, captured, 0), "graph");
  (void)cudaGraphDestroy(captured);
  if (status == kQuireCudaOk) *graph = new QuireCudaGraph{made};
  return status;
}

int32_t launch_graph(QuireCudaStream* stream, QuireCudaGraph* graph) {
  return status_of(cudaGraphLaunch(graph->graph, stream->stream), "graph");
}

int32_t destroy_graph(QuireCudaGraph* graph) {
  const int32_t status = status_of(cudaGraphExecDestroy(graph->graph), "graph");
  delete graph;
  return status;
}

}  // namespace

extern "C" const QuireCudaApi* quire_cuda_api(uint32_t version) {
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
  return version == QUIRE_CUDA_ABI_VERSION ? &kApi : nullptr;
}
