// What a step is made of besides its ops: pages that are copied on the device, out of it and in
// again; and decodes that are padded and replayed as graphs, beside the same ops one by one.

#include <algorithm>
#include <cstring>

#include "tests/bench/cuda/op_tests.h"

namespace quire::engine::bench {

namespace {

constexpr std::int32_t kBlock = 16;

// ---- pages -------------------------------------------------------------------------------------

// More than the ring of pages on their way out has places.
constexpr std::int32_t kPages = 40;

std::vector<float> page_of(Backend& gpu, const KvLayer& layer, std::int32_t page) {
  const std::int64_t floats = layer.page_bytes / 4;
  gpu.begin_step({});
  const float* data = gpu.to_host({.data = layer.pool + page * layer.page_bytes,
                                   .rows = 1,
                                   .cols = floats,
                                   .row_stride = floats});
  std::vector<float> values(data, data + floats);
  gpu.end_step();
  return values;
}

// Random keys and values in every slot of one layer of the first kPages pages.
void write_pages(Backend& gpu, const KvLayer& layer) {
  std::mt19937 random(41);
  const Matrix values =
      Matrix::random(kPages * kBlock, std::int64_t{layer.num_kv_heads} * layer.head_dim, random);
  const DeviceBuffer q = values.upload(gpu);
  const DeviceBuffer k = values.upload(gpu);
  const DeviceBuffer v = values.upload(gpu);
  const Step step({Chunk{0, kPages * kBlock}}, kBlock, kPages);
  const BatchInput batch = step.batch(false);
  gpu.begin_step(batch);
  gpu.rope_and_write_kv(values.view(q), values.view(k), values.view(v), {}, layer, batch);
  gpu.end_step();
}

int differing_pages(Backend& gpu, const KvLayer& layer, std::int32_t shift) {
  int differing = 0;
  for (std::int32_t p = 0; p < kPages; ++p) {
    const std::vector<float> from = page_of(gpu, layer, p);
    const std::vector<float> to = page_of(gpu, layer, p + shift);
    const bool written = std::any_of(from.begin(), from.end(), [](float x) { return x != 0.0f; });
    const bool same = std::memcmp(from.data(), to.data(), from.size() * sizeof(float)) == 0;
    differing += written && same ? 0 : 1;
  }
  return differing;
}

// ---- graphs ------------------------------------------------------------------------------------

constexpr std::int32_t kHeads = 4, kKvHeads = 2, kDim = 64, kVocab = 50, kContext = 700;
constexpr std::int64_t kHidden = 128, kQuery = kHeads * kDim, kKv = kKvHeads * kDim;
constexpr std::int32_t kMostRows = 16;

// A layer between an embedding and a head, its buffers at one place, as graphs want them.
class Decoder {
 public:
  explicit Decoder(Backend& gpu) : gpu_(&gpu), pages_((kContext + kBlock - 1) / kBlock) {
    std::mt19937 random(43);
    embedding_ = weight(kVocab, kHidden, random);
    qkv_weight_ = weight(kQuery + 2 * kKv, kHidden, random);
    output_ = weight(kHidden, kQuery, random);
    layer_ = layer_of(kKvHeads, kDim, DType::kBFloat16, kBlock, 1);
    pool_ = gpu.allocate(layer_.page_bytes * pages_ * kMostRows);
    layer_.pool = static_cast<std::byte*>(pool_.data());
    rope_ = Matrix::random(kContext, kDim, random).upload(gpu);
    for (auto& [buffer, cols] : {std::pair{&hidden_, kHidden},
                                 {&qkv_, kQuery + 2 * kKv},
                                 {&attended_, kQuery},
                                 {&sampled_, kHidden},
                                 {&logits_, std::int64_t{kVocab}}}) {
      *buffer = gpu.allocate(kMostRows * cols * 4);
    }
  }

  // Logits of `rows` decodes at `context`; as a graph, or the ops one by one.
  std::vector<float> logits(std::int32_t rows, std::int32_t context, bool graph) {
    const Step step(std::vector<Chunk>(static_cast<std::size_t>(rows), Chunk{context - 1, 1}),
                    kBlock, pages_);
    const BatchInput batch = step.batch(graph);
    std::vector<std::int32_t> ids;
    for (std::int32_t r = 0; r < rows; ++r) ids.push_back((r * 7 + context) % kVocab);
    const TensorView hidden = view(hidden_, rows, kHidden);
    const TensorView qkv = view(qkv_, rows, kQuery + 2 * kKv);
    const TensorView q = qkv.columns(0, kQuery);
    gpu_->begin_step(batch);
    gpu_->embed(*embedding_, ids, hidden);
    gpu_->linear(hidden, *qkv_weight_, nullptr, qkv);
    gpu_->rope_and_write_kv(
        q, qkv.columns(kQuery, kKv), qkv.columns(kQuery + kKv, kKv),
        {.cos_sin = static_cast<const float*>(rope_.data()), .rotary_dim = kDim}, layer_, batch);
    gpu_->attention(q, layer_, {.num_heads = kHeads, .scale = 0.125f, .window = 0}, batch,
                    view(attended_, rows, kQuery));
    gpu_->linear(view(attended_, rows, kQuery), *output_, nullptr, hidden);
    gpu_->gather_rows(hidden, step.samples, view(sampled_, rows, kHidden));
    gpu_->linear(view(sampled_, rows, kHidden), *embedding_, nullptr, view(logits_, rows, kVocab));
    const float* data = gpu_->to_host(view(logits_, rows, kVocab));
    std::vector<float> values(data, data + std::int64_t{rows} * kVocab);
    gpu_->end_step();
    return values;
  }

 private:
  std::unique_ptr<Weight> weight(std::int64_t n, std::int64_t k, std::mt19937& random) {
    std::vector<std::byte> bytes;
    const HostTensor part = Matrix::random(n, k, random).as_weight(DType::kBFloat16, bytes);
    return gpu_->prepare_weight({&part, 1}, DType::kBFloat16);
  }
  static TensorView view(const DeviceBuffer& buffer, std::int64_t rows, std::int64_t cols) {
    return {.data = buffer.data(), .rows = rows, .cols = cols, .row_stride = cols};
  }

  Backend* gpu_;
  std::int32_t pages_;
  std::unique_ptr<Weight> embedding_, qkv_weight_, output_;
  KvLayer layer_;
  DeviceBuffer pool_, rope_, hidden_, qkv_, attended_, sampled_, logits_;
};

}  // namespace

void test_pages(Backend& gpu) {
  KvLayer layer = layer_of(2, 64, DType::kBFloat16, kBlock, 3);
  const DeviceBuffer pool = gpu.allocate(layer.page_bytes * kPages * 3);
  layer.pool = static_cast<std::byte*>(pool.data());
  const auto host = gpu.allocate_host_pages(layer.page_bytes, kPages);
  write_pages(gpu, layer);
  gpu.begin_step({});
  for (std::int32_t p = 0; p < kPages; ++p) gpu.copy_page(layer, BlockId{p}, BlockId{kPages + p});
  gpu.end_step();
  expect(differing_pages(gpu, layer, kPages) == 0, "pages copied on the device", 0.0);

  gpu.begin_step({});
  for (std::int32_t p = 0; p < kPages; ++p)
    gpu.copy_page_out(layer, BlockId{p}, host.get() + p * layer.page_bytes);
  gpu.end_step();
  gpu.begin_step({});
  for (std::int32_t p = kPages - 1; p >= 0; --p)
    gpu.copy_page_in(layer, host.get() + p * layer.page_bytes, BlockId{2 * kPages + p});
  gpu.end_step();
  expect(differing_pages(gpu, layer, 2 * kPages) == 0, "pages swapped out and in", 0.0);
}

void test_graphs(Backend& gpu) {
  Decoder decoder(gpu);
  for (const std::int32_t rows : {1, 3, 5, 9, 16}) {
    int differing = 0;
    // The first captures, the others replay with other tokens at other places.
    for (const std::int32_t context : {40, 41, 513, kContext}) {
      const std::vector<float> one_by_one = decoder.logits(rows, context, false);
      const std::vector<float> graph = decoder.logits(rows, context, true);
      const bool same =
          std::memcmp(graph.data(), one_by_one.data(), graph.size() * sizeof(float)) == 0;
      const bool finite = one_by_one[0] == one_by_one[0] && one_by_one[0] != 0.0f;
      differing += same && finite ? 0 : 1;
    }
    expect(differing == 0, std::to_string(rows) + " decodes as a graph: bits of the ops alone",
           differing);
  }
}

}  // namespace quire::engine::bench
