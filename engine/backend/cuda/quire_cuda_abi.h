#pragma once
// The C ABI of libquire_cuda.so: what the daemon asks of a device, and nothing that needs CUDA to
// be compiled.
//
// quire_cuda_api(version) returns the table of functions, or null where the plug-in speaks another
// version. Every function returns 0 or a QuireCudaStatus; error_text() then says what happened, to
// the thread that called. One thread uses a context at a time. Work on a stream runs in order and
// asynchronously; nothing but open, allocate, release and the functions named synchronize waits.
// 1. Structures are plain, have no hidden padding, and are filled with zeros where a field is not
//    used: two ops are the same work if and only if their bytes are equal.
// 2. A change to anything here changes kQuireCudaAbiVersion.

#include <stdint.h>

#define QUIRE_CUDA_ABI_VERSION 4u

extern "C" {

enum QuireCudaStatus : int32_t {
  kQuireCudaOk = 0,
  kQuireCudaNoDevice = 1,     // no usable GPU or driver
  kQuireCudaOutOfMemory = 2,  // the context is as it was
  kQuireCudaRefused = 3,      // an argument that this build cannot serve
  kQuireCudaLost = 4,         // sticky: no later call can succeed
};

enum QuireCudaMemory : int32_t { kQuireCudaDevice = 0, kQuireCudaPinned = 1 };

// The numbers of proto/types.h: DType.
enum QuireCudaType : int32_t {
  kQuireCudaFloat32 = 0,
  kQuireCudaFloat16 = 1,
  kQuireCudaBFloat16 = 2,
  kQuireCudaInt8 = 3,  // of pages: codes and scales (kv_format.h)
  kQuireCudaFp8 = 4
};

enum QuireCudaOpKind : int32_t {
  kQuireCudaEmbed = 1,  // out[t] = weight[index[t]]; index -1 - k: what sample.results[k] chose
  kQuireCudaAdd,        // x += y
  kQuireCudaNarrow,     // narrow = x
  kQuireCudaLinear,     // out = x weight^T + vector; x as `narrow` where weights are of 16 bits
  kQuireCudaRmsNorm,    // x += y (where y.data); out, narrow = norm(x) * vector
  kQuireCudaLayerNorm,  // the same with vector and vector2 as weight and bias
  kQuireCudaRopeWrite,  // rotates x (q) and y (k) at index[t]; writes y and z (v) to slots[t]
  kQuireCudaAttention,  // out, narrow = attention of x (q) over the pages
  kQuireCudaSiluMul,    // out, narrow = silu(x[:, :C]) * x[:, C:]
  kQuireCudaGelu,       // x, narrow = gelu_tanh(x)
  kQuireCudaGather,     // out[s] = x[index[s]]
  kQuireCudaSample,     // a token for each row of x (logits); workspace: sample_row.h
};

struct QuireCudaContext;
struct QuireCudaStream;
struct QuireCudaEvent;
struct QuireCudaGraph;

struct QuireCudaInfo {
  char name[96];
  int32_t major;  // compute capability
  int32_t minor;
  int32_t multiprocessors;
  int32_t unused;
  int64_t memory_bytes;
};

// [rows, cols] float32, row_stride elements between rows.
struct QuireCudaTensor {
  void* data;
  int64_t rows;
  int64_t cols;
  int64_t row_stride;
};

// A 16-bit copy of activations, [rows, row_stride]; columns past the activation's are 0.
struct QuireCudaNarrowCopy {
  void* data;
  int64_t row_stride;
  int32_t type;
  int32_t unused;
};

// [rows = N, row_stride], row-major; columns past cols = K are 0. row_stride: schedule.h, padded_k.
struct QuireCudaWeight {
  const void* data;
  int64_t rows;
  int64_t cols;
  int64_t row_stride;
  int32_t type;
  int32_t unused;
};

// One layer of the pool; a part is [kv_head][slot][dim], then scales, [kv_head][slot].
struct QuireCudaKv {
  void* pool;
  int64_t page_bytes;
  int64_t layer_offset;
  int64_t part_bytes;
  int32_t block_size;
  int32_t num_kv_heads;
  int32_t head_dim;
  int32_t type;
};

// Query rows of one sequence that one block of threads computes (attention_plan.h).
struct QuireCudaAttentionItem {
  int32_t token_begin;     // of the sequence's chunk, in the step
  int32_t num_tokens;      // of the chunk
  int32_t first_row;       // of the item, counted over (token, head of the group)
  int32_t block_begin;     // of the sequence's table, in block_ids
  int32_t first_position;  // of the chunk's first token
  int32_t split_begin;     // the splits of keys it walks
  int32_t split_end;
  int32_t partial;  // >= 0: where its one split's result goes; -1: merges its splits itself
};

// A sequence whose splits were computed by several items.
struct QuireCudaAttentionMerge {
  int32_t token_begin;
  int32_t num_tokens;
  int32_t first_position;
  int32_t split_begin;  // of the item at `partial`; the next split's is at partial + 1
  int32_t partial;
  int32_t unused;
};

struct QuireCudaAttentionCounts {
  int32_t decode_items;  // of 16 rows
  int32_t tile_items;    // of 64 rows
  int32_t merges;
  int32_t tokens;  // of the step, without padding
};

struct QuireCudaAttentionWork {
  const QuireCudaAttentionCounts* counts;
  const QuireCudaAttentionItem* decode_items;
  const QuireCudaAttentionItem* tile_items;
  const QuireCudaAttentionMerge* merges;
  const int32_t* block_ids;
  float* partials;  // schedule.h: partial_row
  int32_t num_heads;
  int32_t window;
  float scale;
  int32_t decode_grid;  // blocks of threads to start; they share the items
  int32_t tile_grid;    // 0: the step has none
  int32_t merge_grid;
};

// What one row of logits is to be sampled with: engine/sampler.h. Lists are runs of
// QuireCudaSampleWork::lists.
struct QuireCudaSampleRow {
  double uniform;  // the draw, in [0, 1)
  float temperature;
  float top_p;
  float min_p;
  float repetition_penalty;
  float presence_penalty;
  float frequency_penalty;
  int32_t active;      // 0: a row of padding, or one that the host samples
  int32_t top_k;       // 0: off
  int32_t target;      // >= 0: is scored; -1: a token is chosen
  int32_t num_top;     // -1: no logprobs
  int32_t adjusted;    // 0: the lists and penalties change nothing
  int32_t num_biases;  // pairs of an id, each once, and the bits of a float
  int32_t bias_begin;
  int32_t num_masked;  // ids without a chance
  int32_t masked_begin;
  int32_t num_history;  // ids; the output's follow num_prompt of the prompt's
  int32_t history_begin;
  int32_t num_prompt;
};

enum QuireCudaSampleStatus : int32_t {
  kQuireCudaSampled = 0,
  kQuireCudaSampleFault = 1,  // the row has no token
  kQuireCudaSampleHost = 2,   // more tokens in the running than the device sorts
};

// Of the raw logits: `sum` is that of exp(logit - maximum), where logprobs are wanted.
struct QuireCudaSampleResult {
  double sum;
  float maximum;
  float logit;  // of the token
  int32_t token;
  int32_t status;
};

struct QuireCudaSampleTop {
  int32_t token;
  float logit;
};

struct QuireCudaSampleWork {
  const QuireCudaSampleRow* rows;
  const int32_t* lists;
  QuireCudaSampleResult* results;
  QuireCudaSampleTop* tops;  // [rows, top_stride], best first
  int64_t top_stride;
};

struct QuireCudaOp {
  int32_t kind;
  int32_t rotary_dim;
  float epsilon;
  int32_t unused;
  QuireCudaTensor x;
  QuireCudaTensor y;
  QuireCudaTensor z;
  QuireCudaTensor out;
  QuireCudaNarrowCopy narrow;
  QuireCudaWeight weight;
  const float* vector;
  const float* vector2;
  const int32_t* index;
  const int64_t* slots;  // -1: a row of padding, which writes nothing
  QuireCudaKv kv;
  QuireCudaAttentionWork attention;
  float* workspace;  // of a product whose slices are computed apart; of sampling
  int64_t workspace_bytes;
  QuireCudaSampleWork sample;
};

struct QuireCudaApi {
  uint32_t version;
  uint32_t op_bytes;  // sizeof(QuireCudaOp)
  const char* (*error_text)();

  int32_t (*open)(int32_t ordinal, QuireCudaContext** context, QuireCudaInfo* info);
  void (*close)(QuireCudaContext* context);
  int32_t (*free_memory)(QuireCudaContext* context, int64_t* bytes);
  // Zeroed.
  int32_t (*allocate)(QuireCudaContext* context, int32_t memory, int64_t bytes, void** data);
  int32_t (*release)(QuireCudaContext* context, int32_t memory, void* data);

  int32_t (*create_stream)(QuireCudaContext* context, QuireCudaStream** stream);
  int32_t (*destroy_stream)(QuireCudaStream* stream);
  int32_t (*synchronize_stream)(QuireCudaStream* stream);
  int32_t (*create_event)(QuireCudaContext* context, QuireCudaEvent** event);
  int32_t (*destroy_event)(QuireCudaEvent* event);
  int32_t (*record_event)(QuireCudaEvent* event, QuireCudaStream* stream);
  // Work queued on `stream` from now on waits for what the event was last recorded behind.
  int32_t (*wait_event)(QuireCudaStream* stream, QuireCudaEvent* event);
  int32_t (*synchronize_event)(QuireCudaEvent* event);
  int32_t (*query_event)(QuireCudaEvent* event, int32_t* done);

  // Between any two of device and pinned memory.
  int32_t (*copy)(QuireCudaStream* stream, void* to, const void* from, int64_t bytes);
  int32_t (*run)(QuireCudaStream* stream, const QuireCudaOp* ops, int64_t num_ops);
  int32_t (*create_graph)(QuireCudaStream* stream, const QuireCudaOp* ops, int64_t num_ops,
                          QuireCudaGraph** graph);
  int32_t (*launch_graph)(QuireCudaStream* stream, QuireCudaGraph* graph);
  int32_t (*destroy_graph)(QuireCudaGraph* graph);
};

__attribute__((visibility("default"))) const QuireCudaApi* quire_cuda_api(uint32_t version);

}  // extern "C"
