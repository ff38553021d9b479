// Benchmark of the CPU backend's ops against the machine's own roofs.
//
//   bench_ops [--threads N] [--isa avx2|avx512|amx] [--dtype float32|float16|bfloat16|int8]
//             [--only attention|linear]
//
// Shapes are those of a Llama of 100 million parameters (12 layers, 768 wide, 12 heads, 4 KV heads,
// 2,048 feed-forward, 32,000 words), with weights of its whole size, so that no layer is found in
// the cache because it was the last. A share is the op's rate over the roof's, both medians of one
// run; products on int8 weights are measured against the int8 roof.

#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/backend/cpu/cpu_count.h"
#include "engine/backend/cpu/kernels.h"
#include "engine/backend/float_formats.h"
#include "tests/bench/machine_roofs.h"

namespace quire::bench {
namespace {

using namespace engine;

constexpr int kLayers = 12;
constexpr std::int64_t kReadBytes = 200 << 20;  // the model's size in bfloat16

struct Options {
  int threads = 0;
  std::string isa;
  DType dtype = DType::kBFloat16;  // of the weights; attention on int8 weights has bfloat16 pages
  std::string only;                // ops whose kind begins so

  [[nodiscard]] bool int8() const { return dtype == DType::kInt8; }
  [[nodiscard]] DType float_dtype() const { return int8() ? DType::kBFloat16 : dtype; }
  [[nodiscard]] double weight_bytes() const {
    return int8() ? 1.0 + 2.0 / kInt8Group : static_cast<double>(dtype_bytes(dtype));
  }
};

// One op, measured.
struct Measured {
  const char* name;
  std::int64_t rows;
  double seconds, flops, bytes;
  bool int8 = false;
};

struct Bench {
  Options options;
  cpu::ThreadPool pool;  // for the roofs
  std::unique_ptr<Backend> backend;
  ReadRoof read_roof{kReadBytes};
  bool wide;  // AVX-512
  std::mt19937 random{1};

  explicit Bench(const Options& given)
      : options(given),
        pool(given.threads > 0 ? given.threads : cpu::available_cpus()),
        backend(make_cpu_backend(pool.num_threads(), given.isa)),
        wide(backend->name() != "cpu-avx2") {
    backend->reserve(512, 64, 4096, 4096);
  }
};

std::unique_ptr<Weight> random_weight(Bench& bench, std::int64_t rows, std::int64_t cols) {
  const DType dtype = bench.options.float_dtype();
  const std::int64_t element = dtype_bytes(dtype);
  std::vector<std::byte> bytes(static_cast<std::size_t>(rows * cols * element));
  std::uniform_real_distribution<float> uniform(-0.05f, 0.05f);
  for (std::int64_t i = 0; i < rows * cols; ++i) {
    store_float(bytes.data() + i * element, dtype, uniform(bench.random));
  }
  const HostTensor parts[] = {
      {.data = bytes.data(), .dtype = dtype, .rows = rows, .cols = cols, .row_stride = cols}};
  return bench.backend->prepare_weight(parts, bench.options.dtype);
}

TensorView view(std::vector<float>& values, std::int64_t rows, std::int64_t cols) {
  return {.data = values.data(),
          .dtype = DType::kFloat32,
          .rows = rows,
          .cols = cols,
          .row_stride = cols};
}

void print_share(const Measured& op, Bench& bench) {
  const double compute =
      op.int8 ? int8_roof(bench.pool, bench.wide && has_vnni()) : fma_roof(bench.pool, bench.wide);
  const double read = bench.read_roof.measure(bench.pool);
  const double flops = op.flops / op.seconds;
  const double bytes = op.bytes / op.seconds;
  std::printf(
      "%-16s %5lld %9.1f us %7.1f GFLOP/s %5.1f %%  %6.1f GB/s %5.1f %%   (roofs %.0f, %.1f)\n",
      op.name, static_cast<long long>(op.rows), op.seconds * 1e6, flops * 1e-9,
      100 * flops / compute, bytes * 1e-9, 100 * bytes / read, compute * 1e-9, read * 1e-9);
  std::fflush(stdout);
}

// One matrix of every layer (or the head alone), each call taking the next layer's.
void bench_linear(Bench& bench, const char* name, std::int64_t outputs, std::int64_t inputs,
                  int layers) {
  std::vector<std::unique_ptr<Weight>> weights;
  const double bytes = static_cast<double>(outputs * inputs) * bench.options.weight_bytes();
  // At least the model's size in all: the other matrices would push these out of the cache.
  const auto copies = std::max<std::int64_t>(layers, static_cast<std::int64_t>(kReadBytes / bytes));
  for (std::int64_t i = 0; i < copies; ++i) {
    weights.push_back(random_weight(bench, outputs, inputs));
  }
  std::vector<float> x(static_cast<std::size_t>(256 * inputs), 0.5f);
  std::vector<float> out(static_cast<std::size_t>(256 * outputs));
  std::size_t next = 0;
  for (const std::int64_t rows : {1, 2, 4, 8, 16, 32, 64, 256}) {
    const double seconds = median_seconds(
        [&] {
          bench.backend->linear(view(x, rows, inputs), *weights[next++ % weights.size()], nullptr,
                                view(out, rows, outputs));
        },
        0.2);
    const double flops = 2.0 * static_cast<double>(rows * outputs * inputs);
    print_share({name, rows, seconds, flops, bytes, bench.options.int8()}, bench);
  }
}

// `sequences` decodes over `context` tokens each, pages in random order.
struct DecodeBatch {
  std::vector<TokenId> tokens;
  std::vector<std::int32_t> positions;
  std::vector<std::int64_t> slots;
  std::vector<std::int32_t> query_start{0};
  std::vector<std::int32_t> contexts;
  std::vector<BlockId> blocks;
  std::vector<std::int32_t> block_start{0};

  [[nodiscard]] BatchInput input() const {
    return {.token_ids = tokens,
            .positions = positions,
            .slot_mapping = slots,
            .query_start_loc = query_start,
            .context_lens = contexts,
            .block_ids = blocks,
            .block_start = block_start,
            .sample_tokens = {}};
  }
};

// chunk tokens for each of the sequences, the last of `context`.
DecodeBatch make_batch(int sequences, int context, int chunk, std::int32_t block_size,
                       std::mt19937& random) {
  DecodeBatch batch;
  const int per_sequence = (context + block_size - 1) / block_size;
  for (int i = 0; i < sequences * per_sequence; ++i) batch.blocks.push_back(BlockId{i});
  std::shuffle(batch.blocks.begin(), batch.blocks.end(), random);
  for (int s = 0; s < sequences; ++s) {
    for (int p = context - chunk; p < context; ++p) {
      batch.tokens.push_back(0);
      batch.positions.push_back(p);
      const auto block = batch.blocks[static_cast<std::size_t>(s * per_sequence + p / block_size)];
      batch.slots.push_back(static_cast<std::int64_t>(block) * block_size + p % block_size);
    }
    batch.query_start.push_back((s + 1) * chunk);
    batch.contexts.push_back(context);
    batch.block_start.push_back((s + 1) * per_sequence);
  }
  return batch;
}

void bench_attention(Bench& bench, int sequences, int context, int chunk) {
  constexpr std::int32_t kHeads = 12;
  constexpr std::int32_t kKvHeads = 4;
  constexpr std::int32_t kDim = 64;
  constexpr std::int32_t kBlockSize = 16;
  const DecodeBatch batch = make_batch(sequences, context, chunk, kBlockSize, bench.random);
  const std::int64_t part = std::int64_t{kBlockSize} * kKvHeads * kDim * 2;
  // As many layers as make the cache larger than the processor's.
  const auto per_layer = static_cast<double>(sequences * context) * 2 * kKvHeads * kDim * 2;
  const int layers = std::max(kLayers, static_cast<int>(kReadBytes / per_layer));
  KvLayer kv{.page_bytes = 2 * part * layers,
             .part_bytes = part,
             .block_size = kBlockSize,
             .num_kv_heads = kKvHeads,
             .head_dim = kDim,
             .dtype = DType::kBFloat16};
  const DeviceBuffer pool =
      bench.backend->allocate(kv.page_bytes * static_cast<std::int64_t>(batch.blocks.size()));
  kv.pool = static_cast<std::byte*>(pool.data());
  std::memset(pool.data(), 0x3c, static_cast<std::size_t>(pool.bytes()));  // 0x3c3c is 0.0115
  const auto tokens = static_cast<std::int64_t>(batch.tokens.size());
  std::vector<float> q(static_cast<std::size_t>(tokens * kHeads * kDim), 0.1f);
  std::vector<float> out(q.size());
  int layer = 0;
  const double seconds = median_seconds(
      [&] {
        kv.layer_offset = (layer++ % layers) * 2 * part;
        bench.backend->attention(view(q, tokens, kHeads * kDim), kv,
                                 {.num_heads = kHeads, .scale = 0.125f}, batch.input(),
                                 view(out, tokens, kHeads * kDim));
      },
      0.2);
  const double keys = static_cast<double>(tokens) * (context - (chunk - 1) / 2.0);
  char name[64];
  std::snprintf(name, sizeof name, "attn %dx%d+%d", sequences, context - chunk, chunk);
  print_share({name, tokens, seconds, 4 * keys * kHeads * kDim, per_layer}, bench);
}

void run(const Options& options) {
  Bench bench(options);
  std::printf("%s, %d threads, weights of %.2f bytes; read roof over %lld MB\n",
              std::string(bench.backend->name()).c_str(), bench.pool.num_threads(),
              options.weight_bytes(), static_cast<long long>(kReadBytes >> 20));
  if (std::string("attention").starts_with(options.only)) {
    bench_attention(bench, 1, 1024, 1);
    bench_attention(bench, 8, 1024, 1);
    bench_attention(bench, 32, 1024, 1);
    bench_attention(bench, 1, 512, 512);
  }
  if (!std::string("linear").starts_with(options.only)) return;
  bench_linear(bench, "qkv 1280x768", 1280, 768, kLayers);
  bench_linear(bench, "o 768x768", 768, 768, kLayers);
  bench_linear(bench, "up 4096x768", 4096, 768, kLayers);
  bench_linear(bench, "down 768x2048", 768, 2048, kLayers);
  bench_linear(bench, "head 32000x768", 32000, 768, 1);
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    const std::string value = argv[i + 1];
    if (flag == "--threads") {
      options.threads = static_cast<int>(std::strtol(value.c_str(), nullptr, 10));
    } else if (flag == "--isa") {
      options.isa = value;
    } else if (flag == "--dtype" && value == "float32") {
      options.dtype = DType::kFloat32;
    } else if (flag == "--dtype" && value == "float16") {
      options.dtype = DType::kFloat16;
    } else if (flag == "--dtype" && value == "int8") {
      options.dtype = DType::kInt8;
    } else if (flag == "--only") {
      options.only = value;
    } else if (flag != "--dtype" || value != "bfloat16") {
      return false;
    }
  }
  return argc % 2 == 1;
}

}  // namespace
}  // namespace quire::bench

int main(int argc, char** argv) {
  quire::bench::Options options;
  if (!quire::bench::parse(argc, argv, options)) {
    std::fprintf(stderr,
                 "bench_ops [--threads N] [--isa avx2|avx512|amx] [--dtype D] [--only KIND]\n");
    return 2;
  }
  quire::bench::run(options);
  return 0;
}
