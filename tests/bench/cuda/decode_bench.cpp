// Decode steps of a Llama-3-8B with random bfloat16 weights of its own in every layer: embedding,
// 32 layers, head and greedy sampling, a step after the other as the engine runs them; and a
// vocabulary's sampling alone.

#include <algorithm>
#include <chrono>

#include "tests/bench/cuda/benchmarks.h"
#include "tests/bench/cuda/device_step.h"
#include "tests/bench/cuda/watched_api.h"

namespace quire::engine::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kLogitRows = 32;  // ModelRunner's
constexpr std::int32_t kBlock = 16;
constexpr int kWarmSteps = 4;  // the first captures the graphs
constexpr int kSteps = 20;

struct Layer {
  std::unique_ptr<Weight> qkv, output, gate_up, down;
};

class Model {
 public:
  Model(Backend& backend, const ModelShape& shape, std::int64_t most_rows, std::int32_t context);

  // One step; `samples` has one for each of the batch's rows.
  void step(const BatchInput& batch, const KvLayer& first,
            std::span<const scheduler::StepSample> samples);
  // What a step reads: all but the embedding.
  [[nodiscard]] double weight_bytes() const;

 private:
  [[nodiscard]] DeviceBuffer room(std::int64_t cols) const {
    return backend_->allocate(rows_ * cols * 4);
  }
  void layer(const Layer& layer, const KvLayer& kv, const BatchInput& batch, std::int64_t rows);
  void sample(std::int64_t rows, std::span<const scheduler::StepSample> samples);
  [[nodiscard]] const float* norm() const { return static_cast<const float*>(norm_.data()); }

  Backend* backend_;
  ModelShape shape_;
  std::int64_t rows_;
  std::unique_ptr<Weight> embedding_, head_;
  std::vector<Layer> layers_;
  DeviceBuffer norm_, rope_;
  DeviceBuffer residual_, normed_, delta_, qkv_, attended_, wide_, inner_, logits_;
  std::vector<SampledRow> sampled_;
};

Model::Model(Backend& backend, const ModelShape& shape, std::int64_t most_rows,
             std::int32_t context)
    : backend_(&backend), shape_(shape), rows_((most_rows + 7) / 8 * 8) {
  const RandomRows random(std::max(shape.vocab, 2 * shape.inner) + shape.inner);
  const auto weight = [&](std::int64_t n, std::int64_t k) { return random.weight(backend, n, k); };
  embedding_ = weight(shape.vocab, shape.hidden);
  head_ = weight(shape.vocab, shape.hidden);
  for (std::int32_t l = 0; l < shape.layers; ++l) {
    layers_.push_back({.qkv = weight(shape.qkv(), shape.hidden),
                       .output = weight(shape.hidden, shape.query()),
                       .gate_up = weight(2 * shape.inner, shape.hidden),
                       .down = weight(shape.hidden, shape.inner)});
  }
  norm_ = random.rows(backend, 1, shape.hidden);
  rope_ = random.rows(backend, context, ModelShape::kHeadDim);
  residual_ = room(shape.hidden);
  normed_ = room(shape.hidden);
  delta_ = room(shape.hidden);
  qkv_ = room(shape.qkv());
  attended_ = room(shape.query());
  wide_ = room(2 * shape.inner);
  inner_ = room(shape.inner);
  logits_ = backend.allocate(kLogitRows * shape.vocab * 4);
  sampled_.resize(static_cast<std::size_t>(kLogitRows));
}

double Model::weight_bytes() const {
  std::int64_t bytes = head_->bytes();
  for (const Layer& l : layers_)
    bytes += l.qkv->bytes() + l.output->bytes() + l.gate_up->bytes() + l.down->bytes();
  return static_cast<double>(bytes);
}

void Model::layer(const Layer& layer, const KvLayer& kv, const BatchInput& batch,
                  std::int64_t rows) {
  const ModelShape& s = shape_;
  const TensorView residual = activations(residual_, rows, s.hidden);
  const TensorView normed = activations(normed_, rows, s.hidden);
  const TensorView delta = activations(delta_, rows, s.hidden);
  const TensorView qkv = activations(qkv_, rows, s.qkv());
  const TensorView attended = activations(attended_, rows, s.query());
  const TensorView wide = activations(wide_, rows, 2 * s.inner);
  const TensorView inner = activations(inner_, rows, s.inner);
  const TensorView q = qkv.columns(0, s.query());
  backend_->rms_norm(residual, delta, norm(), 1e-5f, normed);
  backend_->linear(normed, *layer.qkv, nullptr, qkv);
  backend_->rope_and_write_kv(
      q, qkv.columns(s.query(), s.kv()), qkv.columns(s.query() + s.kv(), s.kv()),
      {.cos_sin = static_cast<const float*>(rope_.data()), .rotary_dim = ModelShape::kHeadDim}, kv,
      batch);
  backend_->attention(q, kv, {.num_heads = s.heads, .scale = 0.088f, .window = 0}, batch, attended);
  backend_->linear(attended, *layer.output, nullptr, delta);
  backend_->rms_norm(residual, delta, norm(), 1e-5f, normed);
  backend_->linear(normed, *layer.gate_up, nullptr, wide);
  backend_->silu_and_mul(wide, inner);
  backend_->linear(inner, *layer.down, nullptr, delta);
}

// As ModelRunner does it: tiles of logits, each of them waited for.
void Model::sample(std::int64_t rows, std::span<const scheduler::StepSample> samples) {
  for (std::int64_t begin = 0; begin < rows; begin += kLogitRows) {
    const std::int64_t n = std::min(kLogitRows, rows - begin);
    TensorView hidden = activations(normed_, rows, shape_.hidden).head(begin + n);
    hidden.data = hidden.row(begin);
    hidden.rows = n;
    const TensorView logits = activations(logits_, n, shape_.vocab);
    backend_->linear(hidden, *head_, nullptr, logits);
    const auto count = static_cast<std::size_t>(n);
    backend_->sample({.logits = logits,
                      .samples = samples.subspan(static_cast<std::size_t>(begin), count),
                      .end_token_ids = {},
                      .rows = {sampled_.data(), count},
                      .tops = {}});
  }
}

void Model::step(const BatchInput& batch, const KvLayer& first,
                 std::span<const scheduler::StepSample> samples) {
  const std::int64_t rows = batch.num_tokens();
  const TensorView residual = activations(residual_, rows, shape_.hidden);
  backend_->begin_step(batch);
  backend_->embed(*embedding_, batch.token_ids, residual);
  KvLayer kv = first;
  for (const Layer& l : layers_) {
    layer(l, kv, batch, rows);
    kv.layer_offset += 2 * kv.part_bytes;
  }
  backend_->rms_norm(residual, activations(delta_, rows, shape_.hidden), norm(), 1e-5f,
                     activations(normed_, rows, shape_.hidden));
  sample(rows, samples);
  backend_->end_step();
}

void measure(Bench& bench, Model& model, std::int32_t sequences, std::int32_t context) {
  const ModelShape shape = model_shape(bench);
  const std::int32_t pages = (context + kBlock - 1) / kBlock;
  KvLayer first =
      layer_of(shape.kv_heads, ModelShape::kHeadDim, DType::kBFloat16, kBlock, shape.layers);
  first.layer_offset = 0;
  const DeviceBuffer pool =
      bench.backend.allocate(first.page_bytes * pages * std::int64_t{sequences});
  first.pool = static_cast<std::byte*>(pool.data());
  fill_pages(bench.backend, first, shape.layers, std::int64_t{pages} * sequences);
  const Step step(std::vector<Chunk>(static_cast<std::size_t>(sequences), Chunk{context - 1, 1}),
                  kBlock, pages);
  SamplingParams greedy;
  greedy.temperature = 0.0f;
  const std::vector<scheduler::StepSample> samples(static_cast<std::size_t>(sequences),
                                                   {.params = &greedy, .history = {}});
  const BatchInput batch = step.batch(true);
  const int repeats = bench.small ? 2 : kSteps;
  for (int i = 0; i < (bench.small ? 1 : kWarmSteps); ++i) model.step(batch, first, samples);
  const DeviceTimes before = device_times();
  const auto begin = Clock::now();
  for (int i = 0; i < repeats; ++i) model.step(batch, first, samples);
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count() / repeats;
  const std::string name =
      "8B decode, context " + std::to_string(context) + ", batch " + std::to_string(sequences);
  bench.report.add({.name = name + ", weights",
                    .seconds = seconds,
                    .amount = model.weight_bytes(),
                    .ceiling = Ceiling::kCopy,
                    .due = sequences == 1 ? 0.8 : 0.0});
  bench.report.add({.name = name,
                    .seconds = seconds,
                    .amount = static_cast<double>(sequences),
                    .unit = "tokens/s"});
  bench.report.add_share(name + ", device idle", (device_times() - before).idle_share(), 0.03);
}

}  // namespace

void bench_decode(Bench& bench) {
  const std::int32_t context = bench.small ? 48 : 1024;
  std::vector<std::int32_t> sizes{1, 16, 64, 256};
  if (bench.small) sizes = {1, 40};
  Model model(bench.backend, model_shape(bench), sizes.back(), context);
  for (const std::int32_t sequences : sizes) measure(bench, model, sequences, context);
}

// The rows of one tile of logits, with the round trip.
void bench_sampling(Bench& bench) {
  const std::int64_t vocab = model_shape(bench).vocab;
  std::mt19937 random(5);
  const Matrix logits = Matrix::random(kLogitRows, vocab, random);
  const DeviceBuffer buffer = logits.upload(bench.backend);
  std::vector<SamplingParams> kinds(4);
  kinds[0].temperature = 0.0f;
  kinds[2].top_k = 50;
  kinds[3].top_p = 0.02f;
  const char* names[] = {"greedy", "temperature", "top_k 50", "top_p"};
  for (std::size_t kind = 0; kind < 4; ++kind) {
    const std::vector<scheduler::StepSample> samples(kLogitRows,
                                                     {.params = &kinds[kind], .history = {}});
    std::vector<SampledRow> rows(kLogitRows);
    const double seconds = time_ops(bench.backend, {}, [&](int) {
      bench.backend.sample({.logits = logits.view(buffer),
                            .samples = samples,
                            .end_token_ids = {},
                            .rows = rows,
                            .tops = {}});
    });
    bench.report.add(
        {.name = std::string("sampling, 32 x ") + std::to_string(vocab) + ", " + names[kind],
         .seconds = seconds,
         .amount = static_cast<double>(kLogitRows * vocab * 4),
         .ceiling = Ceiling::kCopy});
  }
}

}  // namespace quire::engine::bench
