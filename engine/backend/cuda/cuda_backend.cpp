#include "engine/backend/cuda/cuda_backend.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "engine/backend/cpu/cpu_count.h"
#include "engine/backend/cpu/thread_pool.h"
#include "engine/backend/cuda/batch_ladder.h"
#include "engine/backend/cuda/cuda_weight.h"
#include "engine/backend/cuda/device.h"
#include "engine/backend/cuda/page_copies.h"
#include "engine/backend/cuda/sample_upload.h"
#include "engine/backend/cuda/sampling.h"
#include "engine/backend/cuda/schedule.h"
#include "engine/backend/cuda/step_queue.h"
#include "engine/backend/cuda/step_upload.h"
#include "engine/backend/stacked_tensors.h"
#include "proto/error.h"

namespace quire::engine {
namespace {

using cuda::CudaWeight;
using cuda::Memory;

static_assert(cuda::kAttentionTile == kKeyTile);

constexpr std::int64_t kStagingBytes = std::int64_t{16} << 20;
constexpr std::int32_t kPartialSlots = 1024;  // splits of a step that are computed apart
constexpr std::int64_t kMaxGraphRows = 256;
constexpr std::int64_t kBlockMultiple = 16;  // a page's rows of keys in runs of 16
constexpr std::int32_t kMaxGroup = 256;      // query heads per KV head
// Slices of a product that does not fill the device: schedule.h, plan_linear.
constexpr std::int64_t kLinearWorkspace =
    std::int64_t{cuda::kFullGrid} * cuda::kTileN * cuda::kTileN * cuda::kMaxSlices * sizeof(float);

QuireCudaTensor tensor(TensorView x, std::int64_t rows) {
  CHECK(x.dtype == DType::kFloat32);
  return {.data = x.data, .rows = rows, .cols = x.cols, .row_stride = x.row_stride};
}

QuireCudaKv pages(const KvLayer& kv) {
  return {.pool = kv.pool,
          .page_bytes = kv.page_bytes,
          .layer_offset = kv.layer_offset,
          .part_bytes = kv.part_bytes,
          .block_size = kv.block_size,
          .num_kv_heads = kv.num_kv_heads,
          .head_dim = kv.head_dim,
          .type = cuda::cuda_type(kv.dtype)};
}

class CudaBackend final : public Backend {
 public:
  CudaBackend(const QuireCudaApi& api, const CudaOptions& options)
      : options_(options),
        device_(api),
        name_("cuda-sm" + std::to_string(device_.info().major) +
              std::to_string(device_.info().minor)),
        stream_(device_),
        queue_(device_, stream_),
        copies_(device_, stream_),
        pool_(options.num_threads > 0 ? options.num_threads : cpu::available_cpus()) {}
  // Memory is not given back under a step in flight.
  ~CudaBackend() override { stream_.drain(); }

  [[nodiscard]] std::string_view name() const override { return name_; }
  [[nodiscard]] std::string_view layout_id() const override { return "kv-slot-dim"; }
  [[nodiscard]] std::int32_t block_size_multiple() const override { return kBlockMultiple; }
  [[nodiscard]] bool supports_kv_dtype(DType dtype) const override {
    return is_float(dtype) || has_scales(dtype);
  }
  [[nodiscard]] bool supports_head_dim(std::int32_t head_dim) const override {
    return head_dim > 0 && head_dim <= cuda::kMaxHeadDim && head_dim % 8 == 0;
  }
  [[nodiscard]] std::optional<DeviceMemory> device_memory() const override {
    return DeviceMemory{.total = device_.info().memory_bytes, .free = device_.free_memory()};
  }

  DeviceBuffer allocate(std::int64_t bytes) override {
    return DeviceBuffer(this, device_.allocate(kQuireCudaDevice, bytes), bytes);
  }
  void free_memory(void* data, std::int64_t) noexcept override {
    device_.release(kQuireCudaDevice, data);
  }
  std::unique_ptr<Weight> prepare_weight(std::span<const HostTensor> parts, DType dtype) override {
    CHECK(supports_weight_dtype(dtype));
    if (dtype != DType::kFloat32) narrow_type_ = cuda::cuda_type(dtype);
    const StackedShape shape = stacked_shape(parts);
    return std::make_unique<CudaWeight>(
        device_, stream_, staging(CudaWeight::row_bytes(shape.cols, dtype)), parts, dtype);
  }
  DeviceBuffer prepare_vector(std::span<const HostTensor> parts) override;
  void reserve(std::int64_t max_tokens, std::int64_t max_rows, std::int64_t max_features,
               std::int64_t max_context) override;

  void begin_step(const BatchInput& batch) override {
    tokens_ = batch.num_tokens();
    padded_ = padded_size(batch);
    if (upload_) upload_->begin(batch, padded_);
    queue_.begin(padded_ > 0);
    narrow_source_ = nullptr;
  }
  void end_step() override {
    flush();
    stream_.synchronize();
    copies_.finish();
  }
  [[nodiscard]] bool runs_ahead() const override { return true; }
  [[nodiscard]] bool prepare_samples(std::span<const scheduler::StepSample> samples,
                                     std::span<const TokenId> end_token_ids,
                                     std::int32_t vocab_size) override;
  void queue_samples(TensorView logits, std::int64_t first) override;
  void start_step() override;
  void finish_step(std::span<SampledRow> rows, std::span<TokenLogprob> tops,
                   std::int64_t tops_stride) override;

  void embed(const Weight& table, std::span<const std::int32_t> ids, TensorView out) override {
    CHECK_EQ(out.rows, static_cast<std::int64_t>(ids.size()));
    if (out.rows == 0) return;
    QuireCudaOp op = record(kQuireCudaEmbed);
    op.weight = weight_view(table);
    CHECK_EQ(out.cols, op.weight.cols);
    op.index = upload_->ids(ids, padded(out.rows));
    op.out = tensor(out, padded(out.rows));
    // Whether or not an id of this step is one of these, so that its graph is the same.
    if (sampling_) op.sample.results = const_cast<QuireCudaSampleResult*>(sampling_->results());
    push(op);
  }
  void add(TensorView residual, TensorView delta) override {
    CHECK_EQ(residual.rows, delta.rows);
    if (residual.rows == 0) return;
    QuireCudaOp op = record(kQuireCudaAdd);
    op.x = tensor(residual, padded(residual.rows));
    op.y = tensor(delta, padded(delta.rows));
    push(op);
  }
  void linear(TensorView x, const Weight& weight, const float* bias, TensorView out) override;
  void rms_norm(TensorView residual, TensorView delta, const float* weight, float epsilon,
                TensorView out) override {
    norm(kQuireCudaRmsNorm, residual, delta, {weight, nullptr}, epsilon, out);
  }
  void layer_norm(TensorView residual, TensorView delta, const float* weight, const float* bias,
                  float epsilon, TensorView out) override {
    norm(kQuireCudaLayerNorm, residual, delta, {weight, bias}, epsilon, out);
  }
  void rope_and_write_kv(TensorView q, TensorView k, TensorView v, const RopeTable& rope,
                         const KvLayer& kv, const BatchInput& batch) override;
  void attention(TensorView q, const KvLayer& kv, const AttentionParams& params,
                 const BatchInput& batch, TensorView out) override;
  void silu_and_mul(TensorView x, TensorView out) override {
    CHECK_EQ(x.cols, 2 * out.cols);
    CHECK_EQ(x.rows, out.rows);
    if (x.rows == 0) return;
    QuireCudaOp op = record(kQuireCudaSiluMul);
    op.x = tensor(x, padded(x.rows));
    push_with_narrow(op, out);
  }
  void gelu_tanh(TensorView x) override {
    if (x.rows == 0) return;
    QuireCudaOp op = record(kQuireCudaGelu);
    op.x = tensor(x, padded(x.rows));
    push_with_narrow(op, x);
  }
  void gather_rows(TensorView x, std::span<const std::int32_t> rows, TensorView out) override {
    CHECK_EQ(x.cols, out.cols);
    CHECK_EQ(out.rows, static_cast<std::int64_t>(rows.size()));
    if (out.rows == 0) return;
    QuireCudaOp op = record(kQuireCudaGather);
    op.x = tensor(x, padded(x.rows));
    op.index = upload_->ids(rows, padded(out.rows));
    op.out = tensor(out, padded(out.rows));
    push(op);
  }
  void copy_page(const KvLayer& any_layer, BlockId from, BlockId to) override {
    flush();  // in order with the ops around it
    stream_.copy(page(any_layer, to), page(any_layer, from), any_layer.page_bytes);
  }
  std::shared_ptr<std::byte> allocate_host_pages(std::int64_t page_bytes,
                                                 std::int64_t num_pages) override {
    copies_.reserve(page_bytes);
    void* memory = device_.allocate(kQuireCudaPinned, page_bytes * num_pages);
    return {static_cast<std::byte*>(memory),
            [this](std::byte* data) { device_.release(kQuireCudaPinned, data); }};
  }
  void copy_page_out(const KvLayer& any_layer, BlockId from, std::byte* to) override {
    CHECK(queue_.empty() && num_in_flight() == 0);
    copies_.copy_out(page(any_layer, from), to);
  }
  void copy_page_in(const KvLayer& any_layer, const std::byte* from, BlockId to) override {
    CHECK(queue_.empty() && num_in_flight() == 0);
    copies_.copy_in(from, page(any_layer, to));
  }
  void sample(const SampleTile& tile) override;
  const float* to_host(TensorView x) override;
  void parallel_for(std::int64_t n, void (*fn)(void* context, std::int64_t i),
                    void* context) override {
    pool_.run_if(n > 1, n, [&](const cpu::WorkItem& item) { fn(context, item.index); });
  }

 private:
  static std::byte* page(const KvLayer& any_layer, BlockId id) {
    return any_layer.pool + static_cast<std::int64_t>(id) * any_layer.page_bytes;
  }
  static QuireCudaOp record(QuireCudaOpKind kind) {
    QuireCudaOp op{};
    op.kind = kind;
    return op;
  }
  static const QuireCudaWeight& weight_view(const Weight& weight) {
    return static_cast<const CudaWeight&>(weight).view();
  }
  void push(const QuireCudaOp& op) {
    narrow_source_ = nullptr;
    queue_.push(op);
  }
  void push_with_narrow(QuireCudaOp op, TensorView out);
  void note_narrow(const void* source, std::int64_t rows, std::int64_t cols) {
    narrow_source_ = source;
    narrow_rows_ = rows;
    narrow_cols_ = cols;
  }
  void norm(QuireCudaOpKind kind, TensorView residual, TensorView delta,
            std::pair<const float*, const float*> vectors, float epsilon, TensorView out);
  [[nodiscard]] QuireCudaNarrowCopy narrow_copy(std::int64_t rows, std::int64_t cols,
                                                std::int32_t type) const;
  [[nodiscard]] std::int64_t padded_size(const BatchInput& batch) const;
  // Rows of an op on `rows` rows of the step's.
  [[nodiscard]] std::int64_t padded(std::int64_t rows) const {
    return padded_ == 0 ? rows : cuda::ladder_size(rows);
  }
  const Memory& staging(std::int64_t bytes);
  [[nodiscard]] bool prepare_sampling(std::int64_t num_samples, std::int64_t vocab_size);
  [[nodiscard]] std::size_t num_in_flight() const {
    return sampling_ ? sampling_->num_in_flight() : 0;
  }
  void flush() {
    if (upload_) upload_->send(stream_);
    copies_.before_main_work();
    queue_.flush();
    narrow_source_ = nullptr;
  }

  const CudaOptions options_;
  cuda::Device device_;
  const std::string name_;
  cuda::Stream stream_;
  cuda::StepQueue queue_;
  cuda::PageCopies copies_;
  cpu::ThreadPool pool_;
  std::unique_ptr<cuda::StepUpload> upload_;
  std::unique_ptr<cuda::SampleUpload> sampling_;  // from the first step that samples
  std::int64_t max_tokens_ = 0;
  std::int64_t max_rows_ = cuda::kMaxSampleRows;
  std::int64_t tokens_ = 0;  // of the step
  std::int64_t padded_ = 0;  // 0: the step is not padded
  // The 16-bit copy of the last op's output, and what it is of.
  Memory narrow_;
  const void* narrow_source_ = nullptr;
  std::int64_t narrow_rows_ = 0;
  std::int64_t narrow_cols_ = 0;
  std::int32_t narrow_type_ = kQuireCudaFloat32;  // of the model's products; float32: none
  Memory workspace_;
  Memory partials_;
  Memory staging_;
  Memory results_;  // pinned
};

const Memory& CudaBackend::staging(std::int64_t bytes) {
  if (staging_.bytes() < bytes) {
    staging_ = Memory(device_, kQuireCudaPinned, std::max(bytes, kStagingBytes));
  }
  return staging_;
}

DeviceBuffer CudaBackend::prepare_vector(std::span<const HostTensor> parts) {
  const std::int64_t bytes = total_elements(parts) * std::int64_t{sizeof(float)};
  DeviceBuffer buffer = allocate(bytes);
  const Memory& room = staging(bytes);
  widen_all(parts, room.floats());
  stream_.copy(buffer.data(), room.data(), bytes);
  stream_.synchronize();
  return buffer;
}

void CudaBackend::reserve(std::int64_t max_tokens, std::int64_t max_rows, std::int64_t max_features,
                          std::int64_t max_context) {
  max_tokens_ = max_tokens;
  max_rows_ = max_rows;
  staging_ = {};  // loading is over
  upload_ = std::make_unique<cuda::StepUpload>(
      device_, cuda::UploadLimits{.attention = {.max_tokens = max_tokens,
                                                .max_rows = max_rows,
                                                .partial_slots = kPartialSlots},
                                  .max_samples = max_tokens,
                                  .max_blocks = max_rows * (max_context / kBlockMultiple + 1),
                                  .max_group = kMaxGroup});
  narrow_ = Memory(device_, kQuireCudaDevice, max_tokens * cuda::padded_k(max_features) * 2);
  workspace_ = Memory(device_, kQuireCudaDevice, kLinearWorkspace);
}

// Decodes alone, each with its sample, are padded. 0: this step is not.
std::int64_t CudaBackend::padded_size(const BatchInput& batch) const {
  const std::int64_t tokens = batch.num_tokens();
  const bool decodes = tokens > 0 && batch.num_rows() == tokens &&
                       static_cast<std::int64_t>(batch.sample_tokens.size()) == tokens;
  const std::int64_t size = cuda::ladder_size(tokens);
  return options_.use_graphs && decodes && size <= std::min(max_tokens_, kMaxGraphRows) ? size : 0;
}

QuireCudaNarrowCopy CudaBackend::narrow_copy(std::int64_t rows, std::int64_t cols,
                                             std::int32_t type) const {
  const std::int64_t stride = cuda::padded_k(cols);
  CHECK_LE(rows * stride * 2, narrow_.bytes());
  return {.data = narrow_.data(), .row_stride = stride, .type = type, .unused = 0};
}

// Pushes an op that writes `out`, and beside it the 16-bit copy that a product may want.
void CudaBackend::push_with_narrow(QuireCudaOp op, TensorView out) {
  const std::int64_t rows = padded(out.rows);
  op.out = tensor(out, rows);
  if (narrow_type_ != kQuireCudaFloat32) op.narrow = narrow_copy(rows, out.cols, narrow_type_);
  push(op);
  if (narrow_type_ != kQuireCudaFloat32) note_narrow(out.data, rows, out.cols);
}

void CudaBackend::linear(TensorView x, const Weight& weight, const float* bias, TensorView out) {
  CHECK_EQ(x.cols, weight.cols());
  CHECK_EQ(out.cols, weight.rows());
  CHECK_EQ(out.rows, x.rows);
  if (x.rows == 0) return;
  const std::int64_t rows = padded(x.rows);
  QuireCudaOp op = record(kQuireCudaLinear);
  op.x = tensor(x, rows);
  op.weight = weight_view(weight);
  op.vector = bias;
  op.out = tensor(out, rows);
  if (op.weight.type != kQuireCudaFloat32) {
    op.narrow = narrow_copy(rows, x.cols, op.weight.type);
    const bool there = narrow_source_ == x.data && narrow_cols_ == x.cols && narrow_rows_ >= rows &&
                       narrow_type_ == op.weight.type;
    if (!there) {
      QuireCudaOp convert = record(kQuireCudaNarrow);
      convert.x = op.x;
      convert.narrow = op.narrow;
      push(convert);
    }
    op.workspace = workspace_.floats();
    op.workspace_bytes = workspace_.bytes();
  }
  push(op);
  // The next product on the same x finds its copy.
  if (op.weight.type == narrow_type_ && x.data != out.data) note_narrow(x.data, rows, x.cols);
}

void CudaBackend::norm(QuireCudaOpKind kind, TensorView residual, TensorView delta,
                       std::pair<const float*, const float*> vectors, float epsilon,
                       TensorView out) {
  CHECK_EQ(residual.rows, out.rows);
  CHECK_EQ(residual.cols, out.cols);
  if (residual.rows == 0) return;
  const std::int64_t rows = padded(residual.rows);
  QuireCudaOp op = record(kind);
  op.x = tensor(residual, rows);
  if (delta.data != nullptr) op.y = tensor(delta, rows);
  op.vector = vectors.first;
  op.vector2 = vectors.second;
  op.epsilon = epsilon;
  push_with_narrow(op, out);
}

void CudaBackend::rope_and_write_kv(TensorView q, TensorView k, TensorView v, const RopeTable& rope,
                                    const KvLayer& kv, const BatchInput& batch) {
  CHECK_EQ(k.cols, std::int64_t{kv.num_kv_heads} * kv.head_dim);
  CHECK_EQ(q.rows, batch.num_tokens());
  if (q.rows == 0) return;
  const std::int64_t rows = padded(q.rows);
  QuireCudaOp op = record(kQuireCudaRopeWrite);
  op.x = tensor(q, rows);
  op.y = tensor(k, rows);
  op.z = tensor(v, rows);
  op.vector = rope.cos_sin;
  op.rotary_dim = rope.rotary_dim;
  op.index = upload_->positions();
  op.slots = upload_->slots();
  op.kv = pages(kv);
  push(op);
}

void CudaBackend::attention(TensorView q, const KvLayer& kv, const AttentionParams& params,
                            const BatchInput& batch, TensorView out) {
  CHECK_EQ(q.rows, batch.num_tokens());
  if (!supports_head_dim(kv.head_dim)) throw StartupError("head_dim: not supported on a GPU");
  if (q.rows == 0) return;
  const std::int64_t partial =
      kPartialSlots * cuda::partial_floats(kv.num_kv_heads, kv.head_dim) * std::int64_t{4};
  if (partials_.bytes() < partial) {
    partials_ = {};
    partials_ = Memory(device_, kQuireCudaDevice, partial);
  }
  QuireCudaOp op = record(kQuireCudaAttention);
  op.x = tensor(q, padded(q.rows));
  op.index = upload_->positions();
  op.kv = pages(kv);
  op.attention = upload_->attention(
      {.num_heads = params.num_heads, .num_kv_heads = kv.num_kv_heads, .window = params.window});
  op.attention.scale = params.scale;
  op.attention.partials = partials_.floats();
  push_with_narrow(op, out);
}

// False: such samples are the host's.
bool CudaBackend::prepare_sampling(std::int64_t num_samples, std::int64_t vocab_size) {
  if (vocab_size > cuda::kMaxSampleVocab) return false;
  if (sampling_ == nullptr || sampling_->vocab_size() != vocab_size) {
    CHECK_EQ(num_in_flight(), std::size_t{0});
    sampling_ = std::make_unique<cuda::SampleUpload>(device_, vocab_size,
                                                     std::max(max_rows_, cuda::kMaxSampleRows));
  }
  return num_samples <= sampling_->max_samples();
}

void CudaBackend::sample(const SampleTile& tile) {
  CHECK_EQ(tile.logits.rows, static_cast<std::int64_t>(tile.samples.size()));
  if (tile.logits.rows == 0 || tile.logits.rows > cuda::kMaxSampleRows) return;
  if (!prepare_sampling(tile.logits.rows, tile.logits.cols)) return;
  CHECK_EQ(num_in_flight(), std::size_t{0});
  if (sampling_->fill(tile.samples, tile.end_token_ids) == 0) return;
  queue_samples(tile.logits, 0);
  sampling_->send(stream_);
  flush();
  sampling_->fetch(stream_);
  sampling_->collect(tile.rows.first(tile.samples.size()), tile.tops, tile.tops_stride);
}

bool CudaBackend::prepare_samples(std::span<const scheduler::StepSample> samples,
                                  std::span<const TokenId> end_token_ids, std::int32_t vocab_size) {
  return prepare_sampling(static_cast<std::int64_t>(samples.size()), vocab_size) &&
         sampling_->fill(samples, end_token_ids) == samples.size();
}

void CudaBackend::queue_samples(TensorView logits, std::int64_t first) {
  QuireCudaOp op = record(kQuireCudaSample);
  op.x = tensor(logits, padded(logits.rows));
  sampling_->describe(op, first);
  push(op);
}

void CudaBackend::start_step() {
  sampling_->send(stream_);
  flush();
  sampling_->fetch(stream_);
}

void CudaBackend::finish_step(std::span<SampledRow> rows, std::span<TokenLogprob> tops,
                              std::int64_t tops_stride) {
  sampling_->collect(rows, tops, tops_stride);
  // With pages on their way out it is alone; the other's are none.
  if (num_in_flight() == 0) copies_.finish();
}

const float* CudaBackend::to_host(TensorView x) {
  const std::int64_t bytes = x.rows * x.row_stride * std::int64_t{sizeof(float)};
  if (results_.bytes() < bytes) {
    results_ = {};
    results_ = Memory(device_, kQuireCudaPinned, bytes);
  }
  flush();
  stream_.copy(results_.data(), x.data, bytes);
  stream_.synchronize();
  return results_.floats();
}

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(const QuireCudaApi& api, const CudaOptions& options) {
  return std::make_unique<CudaBackend>(api, options);
}

}  // namespace quire::engine
