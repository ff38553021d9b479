#pragma once
// Backend: the seam between models and hardware. Virtual outside, templates inside.
//
// One owner: the engine thread calls everything after loading. The ops of a step run in order; on a
// device they are queued, and end_step() makes their results readable by the host.
//
// The law (DESIGN section 6), for every op of every backend: the result for one token's row does
// not depend on the other rows, on how many there are, on how a prompt was cut into chunks, on
// block_size, or on the number of threads. Each output element of a matrix product accumulates over
// K in one order that is a function of (N, K) only; int8 scales are those of a row's own groups.
// Keys and values are read from the pages only, in tiles of kKeyTile keys counted from position 0,
// whatever the block size.
//
// Shapes: T tokens of the step, R rows (sequences), H query heads, G KV heads, D head size.
// Activations are float32 on CPU backends. `out` never overlaps an input unless the op says so.
// Empty inputs (T == 0) are allowed everywhere.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "cache/kv_spec.h"
#include "engine/backend/float_formats.h"
#include "engine/backend/kv_format.h"
#include "engine/backend/sample_tile.h"
#include "engine/batch_input.h"
#include "engine/tensor.h"
#include "proto/types.h"

namespace quire::engine {

// Keys per softmax tile. A constant of the arithmetic: changing it changes answers.
inline constexpr std::int32_t kKeyTile = 64;

class Backend;

// Memory of a backend; freed through it.
class DeviceBuffer final {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(Backend* backend, void* data, std::int64_t bytes)
      : backend_(backend), data_(data), bytes_(bytes) {}
  DeviceBuffer(DeviceBuffer&& other) noexcept { swap(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~DeviceBuffer();

  [[nodiscard]] void* data() const { return data_; }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  void swap(DeviceBuffer& other) noexcept {
    std::swap(backend_, other.backend_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  Backend* backend_ = nullptr;
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

// A matrix [rows = N output features, cols = K input features], packed or uploaded once at load.
// The layout is the backend's own. embed() and linear() work on the same Weight, so tied embeddings
// are stored once.
class Weight {
 public:
  virtual ~Weight() = default;
  [[nodiscard]] virtual std::int64_t rows() const = 0;
  [[nodiscard]] virtual std::int64_t cols() const = 0;
  [[nodiscard]] virtual std::int64_t bytes() const = 0;
};

// One layer's keys and values in the pool.
struct KvLayer {
  std::byte* pool = nullptr;    // page 0
  std::int64_t page_bytes = 0;  // from a page to the next
  // Of this layer's K part inside a page; V follows part_bytes later.
  std::int64_t layer_offset = 0;
  std::int64_t part_bytes = 0;
  std::int32_t block_size = 0;  // tokens; a multiple of Backend::block_size_multiple()
  std::int32_t num_kv_heads = 0;
  std::int32_t head_dim = 0;
  DType dtype = DType::kFloat32;

  // Bytes from a part's begin to the scale of a head's slot (kv_format.h).
  [[nodiscard]] std::int64_t scale_offset(std::int64_t head, std::int64_t slot) const {
    const std::int64_t tiles =
        std::int64_t{block_size} * num_kv_heads * head_dim * dtype_bytes(dtype);
    return tiles + (head * block_size + slot) * cache::kv_scale_bytes(dtype);
  }
};

// Rotary embedding (Su et al. 2021), half-split form: dims i and i + rotary_dim / 2 are a pair.
// Row p of the table: cos of the rotary_dim / 2 angles at position p, then their sines.
struct RopeTable {
  const float* cos_sin = nullptr;  // backend memory, [max positions, rotary_dim]
  std::int32_t rotary_dim = 0;     // 0: no rotation (GPT-2)
};

struct AttentionParams {
  std::int32_t num_heads = 0;  // query heads; a multiple of the layer's KV heads
  float scale = 1.0f;          // of the dot products
  std::int32_t window = 0;     // 0: full; W: the last W positions, the query's own included
};

// Of a device with memory of its own, in bytes.
struct DeviceMemory {
  std::int64_t total = 0;
  std::int64_t free = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  // Nothing where tensors lie in the host's memory. Where they do not, the host reads none but
  // those that to_host() gave.
  [[nodiscard]] virtual std::optional<DeviceMemory> device_memory() const { return std::nullopt; }
  // Names the inner order of a page's tiles; part of a page's identity off the device.
  [[nodiscard]] virtual std::string_view layout_id() const = 0;
  // The same with what the tiles hold (kv_format.h).
  [[nodiscard]] std::string page_layout(DType kv_dtype) const {
    return std::string(layout_id()) + '-' + std::string(kv_format_name(kv_dtype));
  }
  // Block sizes must be a multiple of this.
  [[nodiscard]] virtual std::int32_t block_size_multiple() const = 0;
  [[nodiscard]] virtual bool supports_kv_dtype(DType dtype) const = 0;
  // Of weights: what prepare_weight() can make.
  [[nodiscard]] virtual bool supports_weight_dtype(DType dtype) const { return is_float(dtype); }
  [[nodiscard]] virtual bool supports_head_dim(std::int32_t head_dim) const { return head_dim > 0; }

  // --- at load -------------------------------------------------------------------------------
  // Zeroed memory; throws StartupError where it cannot be had.
  [[nodiscard]] virtual DeviceBuffer allocate(std::int64_t bytes) = 0;
  virtual void free_memory(void* data, std::int64_t bytes) noexcept = 0;
  // Concatenates the parts along rows (q, k and v; gate and up) into one packed weight of `dtype`:
  // float32, float16, bfloat16 or int8 (int8_format.h), converting from the parts' own float types.
  // Parts are let go (HostTensor::let_go) as they are read, and may vanish afterwards.
  [[nodiscard]] virtual std::unique_ptr<Weight> prepare_weight(std::span<const HostTensor> parts,
                                                               DType dtype) = 0;
  // Of the first part's own dtype.
  [[nodiscard]] std::unique_ptr<Weight> prepare_weight(std::span<const HostTensor> parts) {
    CHECK(!parts.empty());
    return prepare_weight(parts, parts[0].dtype);
  }
  // A vector (norm weight, bias) widened to float32 in backend memory, parts concatenated.
  [[nodiscard]] virtual DeviceBuffer prepare_vector(std::span<const HostTensor> parts) = 0;
  // Sizes the workspace; called once, before the first step. `max_features`: the widest activation.
  // Activations have room for a multiple of 8 rows: a backend may compute rows of padding.
  virtual void reserve(std::int64_t max_tokens, std::int64_t max_rows, std::int64_t max_features,
                       std::int64_t max_context) = 0;

  // Memory for pages off the pool, [num_pages][page_bytes], zeroed, where copies want memory of a
  // kind (pinned). Once, before the first step. Null: any memory of the host will do.
  [[nodiscard]] virtual std::shared_ptr<std::byte> allocate_host_pages(std::int64_t /*page_bytes*/,
                                                                       std::int64_t /*num_pages*/) {
    return nullptr;
  }

  // --- one step ------------------------------------------------------------------------------
  virtual void begin_step(const BatchInput& batch) = 0;
  virtual void end_step() = 0;

  // out[t, :] = table[ids[t], :]                                    ids [T], out [T, K]
  virtual void embed(const Weight& table, std::span<const std::int32_t> ids, TensorView out) = 0;
  // residual[t, :] += delta[t, :]                                   [T, C]
  virtual void add(TensorView residual, TensorView delta) = 0;
  // out = x W^T + bias; bias may be null. On an int8 weight, x is quantised as int8_format.h says.
  //                                                                 x [T, K], out [T, N]
  virtual void linear(TensorView x, const Weight& weight, const float* bias, TensorView out) = 0;
  // If delta.data: residual += delta. Then out = residual / rms(residual) * weight.   [T, C]
  virtual void rms_norm(TensorView residual, TensorView delta, const float* weight, float epsilon,
                        TensorView out) = 0;
  // If delta.data: residual += delta. Then out = layer norm with weight and bias.     [T, C]
  virtual void layer_norm(TensorView residual, TensorView delta, const float* weight,
                          const float* bias, float epsilon, TensorView out) = 0;
  // Rotates q and k in place by batch.positions, then writes k and v (in the page's format,
  // kv_format.h) to the slots of batch.slot_mapping.                q [T, H*D], k and v [T, G*D]
  virtual void rope_and_write_kv(TensorView q, TensorView k, TensorView v, const RopeTable& rope,
                                 const KvLayer& kv, const BatchInput& batch) = 0;
  // Causal attention of every token over its own row's pages, for any mix of prefill chunks and
  // decodes. Online softmax over tiles of kKeyTile keys. Where a page has scales, a score is the
  // sum over the codes times K's scale, and a key's weight is multiplied by V's.   q and out [T,
  // H*D]
  virtual void attention(TensorView q, const KvLayer& kv, const AttentionParams& params,
                         const BatchInput& batch, TensorView out) = 0;
  // out[t, i] = silu(x[t, i]) * x[t, C + i]                         x [T, 2C], out [T, C]
  virtual void silu_and_mul(TensorView x, TensorView out) = 0;
  // x = 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), in place   [T, C]
  virtual void gelu_tanh(TensorView x) = 0;
  // out[s, :] = x[rows[s], :]                                       out [S, C]
  virtual void gather_rows(TensorView x, std::span<const std::int32_t> rows, TensorView out) = 0;
  // Copies whole pages (copy-on-write); from and to never overlap.
  virtual void copy_page(const KvLayer& any_layer, BlockId from, BlockId to) = 0;
  // Whole pages between the pool and the memory of allocate_host_pages(). They come before the
  // step's ops, in order with each other; a page of the host that is written is in no other copy of
  // the step, and the host may read and write it from end_step() on.
  virtual void copy_page_out(const KvLayer& any_layer, BlockId from, std::byte* to) {
    const std::byte* page = any_layer.pool + static_cast<std::int64_t>(from) * any_layer.page_bytes;
    std::memcpy(to, page, static_cast<std::size_t>(any_layer.page_bytes));
  }
  virtual void copy_page_in(const KvLayer& any_layer, const std::byte* from, BlockId to) {
    std::byte* page = any_layer.pool + static_cast<std::int64_t>(to) * any_layer.page_bytes;
    std::memcpy(page, from, static_cast<std::size_t>(any_layer.page_bytes));
  }
  // Samples rows where their logits lie, each to what Sampler (engine/sampler.h) would make of it,
  // bit for bit but for the sign of a logprob of 0. Rows left as they were are the caller's, by
  // to_host() and a Sampler.
  virtual void sample(const SampleTile& /*tile*/) {}
  // --- a step that is not waited for ---------------------------------------------------------
  // Where a device does them in order, a step may be started behind another one, of whose samples
  // it takes tokens (BatchInput::token_ids). These calls stand in for sample() and end_step():
  //
  //   prepare_samples, begin_step, ops, queue_samples for each tile of logits, start_step
  //   finish_step     once for each step that was started, in that order
  //
  // At most two are started and not finished; a step with page copies is alone, and so is one that
  // is waited for by end_step(), sample() or to_host().
  [[nodiscard]] virtual bool runs_ahead() const { return false; }
  // Before begin_step(): whether the next step's samples can all be made this way, as far as can be
  // told without the logits. Of one that has a token of the step before, they can where that one's
  // could. If not, nothing has happened.
  [[nodiscard]] virtual bool prepare_samples(std::span<const scheduler::StepSample> /*samples*/,
                                             std::span<const TokenId> /*end_token_ids*/,
                                             std::int32_t /*vocab_size*/) {
    return false;
  }
  // The logits of the step's samples from `first` on, a multiple of 32: at most 32 rows, which may
  // be overwritten by what comes next.
  virtual void queue_samples(TensorView /*logits*/, std::int64_t /*first*/) {}
  // Starts the step and returns. The batch is not read afterwards.
  virtual void start_step() {}
  // Waits for the oldest step, and not for the one behind it. `rows` are its samples, nothing of
  // them made; those that are kLeft afterwards have no token, also for a step behind.
  virtual void finish_step(std::span<SampledRow> /*rows*/, std::span<TokenLogprob> /*tops*/,
                           std::int64_t /*tops_stride*/) {}

  // The host can read `x` afterwards: on CPU backends x.data itself.
  [[nodiscard]] virtual const float* to_host(TensorView x) = 0;
  // Runs fn(i) for i in [0, n) on the compute threads, in any order; fn may not depend on which
  // thread runs it (the sampler spreads rows with it).
  virtual void parallel_for(std::int64_t n, void (*fn)(void* context, std::int64_t i),
                            void* context) = 0;
};

inline DeviceBuffer::~DeviceBuffer() {
  if (backend_ != nullptr) backend_->free_memory(data_, bytes_);
}

// The plain float32 loops that every other backend is tested against. One thread.
[[nodiscard]] std::unique_ptr<Backend> make_reference_backend();
// Vectorised and threaded; AVX2 or better (throws StartupError elsewhere). num_threads 0: as many
// as the container's CPU quota and affinity allow. isa: "" picks the best; "avx2", "avxvnni"
// (AVX2 with AVX-VNNI for int8), "avx512" or "amx" (AVX-512 with AMX) force one. All give the same
// bits but for "amx" on bfloat16 weights, whose products are split_format.h's.
[[nodiscard]] std::unique_ptr<Backend> make_cpu_backend(int num_threads, std::string_view isa = "");

}  // namespace quire::engine
