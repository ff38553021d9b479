#include "tests/backend/paged_attention.h"

#include <cmath>
#include <numeric>

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine::testing {

namespace {

constexpr int kLayers = 3;  // in a page; the middle one is used
constexpr int kUsedLayer = 1;

std::vector<float> rope_table(std::int32_t rotary_dim, int positions) {
  std::vector<float> table;
  for (int p = 0; p < positions; ++p) {
    for (const bool sine : {false, true}) {
      for (int i = 0; i < rotary_dim / 2; ++i) {
        const double angle = p * std::pow(10000.0, -2.0 * i / rotary_dim);
        table.push_back(static_cast<float>(sine ? std::sin(angle) : std::cos(angle)));
      }
    }
  }
  return table;
}

}  // namespace

// The pool with one block table per sequence, ids in random order.
struct PagedSequences::Pages {
  DeviceBuffer memory;
  KvLayer layer;
  std::vector<std::vector<BlockId>> tables;

  Pages(Backend& backend, const AttentionShape& shape, const std::vector<int>& lengths,
        std::int32_t block_size) {
    layer.block_size = block_size;
    layer.num_kv_heads = shape.num_kv_heads;
    layer.head_dim = shape.head_dim;
    layer.dtype = shape.dtype;
    layer.part_bytes = std::int64_t{block_size} * shape.num_kv_heads *
                       cache::kv_head_bytes(shape.head_dim, shape.dtype);
    layer.layer_offset = kUsedLayer * 2 * layer.part_bytes;
    layer.page_bytes = (kLayers * 2 * layer.part_bytes + 4095) / 4096 * 4096;
    std::vector<std::int32_t> ids;
    for (const int length : lengths) {
      tables.emplace_back((length + block_size - 1) / block_size);
      ids.resize(ids.size() + tables.back().size());
    }
    std::iota(ids.begin(), ids.end(), 0);
    std::shuffle(ids.begin(), ids.end(), std::mt19937(99));
    memory = backend.allocate(layer.page_bytes * static_cast<std::int64_t>(ids.size()));
    std::memset(memory.data(), 0xff, static_cast<std::size_t>(memory.bytes()));
    layer.pool = static_cast<std::byte*>(memory.data());
    for (auto& table : tables) {
      for (BlockId& block : table) {
        block = BlockId{ids.back()};
        ids.pop_back();
      }
    }
  }
};

// One step's flat arrays.
struct PagedSequences::Batch {
  std::vector<TokenId> token_ids;
  std::vector<std::int32_t> positions;
  std::vector<std::int64_t> slots;
  std::vector<std::int32_t> query_start{0};
  std::vector<std::int32_t> context_lens;
  std::vector<BlockId> blocks;
  std::vector<std::int32_t> block_start{0};

  void add(const Chunk& chunk, int first_position, const Pages& pages, std::int32_t window) {
    const std::vector<BlockId>& table = pages.tables[chunk.sequence];
    const std::int32_t block_size = pages.layer.block_size;
    const int end = first_position + chunk.tokens;
    for (int p = first_position; p < end; ++p) {
      token_ids.push_back(0);
      positions.push_back(p);
      slots.push_back(static_cast<std::int64_t>(table[p / block_size]) * block_size +
                      p % block_size);
    }
    query_start.push_back(static_cast<std::int32_t>(token_ids.size()));
    context_lens.push_back(end);
    const int oldest = window > 0 ? std::max(0, first_position - window + 1) : 0;
    for (int b = 0; b * block_size < end; ++b) {
      const bool needed = (b + 1) * block_size > oldest;
      blocks.push_back(needed ? table[b] : BlockId{1 << 30});
    }
    block_start.push_back(static_cast<std::int32_t>(blocks.size()));
  }
  [[nodiscard]] BatchInput input() const {
    return {.token_ids = token_ids,
            .positions = positions,
            .slot_mapping = slots,
            .query_start_loc = query_start,
            .context_lens = context_lens,
            .block_ids = blocks,
            .block_start = block_start,
            .sample_tokens = {}};
  }
};

PagedSequences::PagedSequences(const AttentionShape& shape, std::vector<int> lengths, unsigned seed)
    : shape_(shape), lengths_(std::move(lengths)) {
  std::mt19937 random(seed);
  for (const int length : lengths_) {
    q_.push_back(Matrix::random(length, shape.num_heads * shape.head_dim, random));
    k_.push_back(Matrix::random(length, shape.num_kv_heads * shape.head_dim, random));
    v_.push_back(Matrix::random(length, shape.num_kv_heads * shape.head_dim, random));
  }
  rope_ = rope_table(shape.rotary_dim, *std::max_element(lengths_.begin(), lengths_.end()) + 1);
}

std::vector<Matrix> PagedSequences::run(Backend& backend, std::int32_t block_size,
                                        std::span<const Step> steps) const {
  const Pages pages(backend, shape_, lengths_, block_size);
  std::vector<int> done(lengths_.size(), 0);
  std::vector<Matrix> results;
  for (const int length : lengths_) results.emplace_back(length, q_[0].cols());

  for (const Step& step : steps) {
    Batch batch;
    for (const Chunk& chunk : step) batch.add(chunk, done[chunk.sequence], pages, shape_.window);
    const auto tokens = static_cast<std::int64_t>(batch.token_ids.size());
    Matrix q(tokens, q_[0].cols(), 4);
    Matrix k(tokens, k_[0].cols(), 2);
    Matrix v(tokens, v_[0].cols());
    Matrix out(tokens, q_[0].cols(), 1);
    std::int64_t t = 0;
    for (const Chunk& chunk : step) {
      for (int i = 0; i < chunk.tokens; ++i, ++t) {
        const int position = done[chunk.sequence] + i;
        std::copy_n(q_[chunk.sequence].row(position), q.cols(), q.row(t));
        std::copy_n(k_[chunk.sequence].row(position), k.cols(), k.row(t));
        std::copy_n(v_[chunk.sequence].row(position), v.cols(), v.row(t));
      }
    }
    const BatchInput input = batch.input();
    const AttentionParams params{.num_heads = shape_.num_heads,
                                 .scale = 1.0f / std::sqrt(static_cast<float>(shape_.head_dim)),
                                 .window = shape_.window};
    backend.begin_step(input);
    backend.rope_and_write_kv(q.view(), k.view(), v.view(),
                              {.cos_sin = rope_.data(), .rotary_dim = shape_.rotary_dim},
                              pages.layer, input);
    backend.attention(q.view(), pages.layer, params, input, out.view());
    backend.end_step();
    t = 0;
    for (const Chunk& chunk : step) {
      for (int i = 0; i < chunk.tokens; ++i, ++t) {
        std::copy_n(out.row(t), out.cols(), results[chunk.sequence].row(done[chunk.sequence] + i));
      }
      done[chunk.sequence] += chunk.tokens;
    }
  }
  return results;
}

std::vector<Step> PagedSequences::whole() const {
  Step step;
  for (int s = 0; s < static_cast<int>(lengths_.size()); ++s) step.push_back({s, lengths_[s]});
  return {step};
}

std::vector<Step> PagedSequences::one_by_one() const {
  std::vector<Step> steps;
  for (int s = 0; s < static_cast<int>(lengths_.size()); ++s) {
    for (int p = 0; p < lengths_[s]; ++p) steps.push_back({{s, 1}});
  }
  return steps;
}

std::vector<Step> PagedSequences::random_steps(unsigned seed, int largest) const {
  std::mt19937 random(seed);
  std::vector<int> left = lengths_;
  std::vector<Step> steps;
  while (std::any_of(left.begin(), left.end(), [](int n) { return n > 0; })) {
    Step step;
    for (int s = 0; s < static_cast<int>(left.size()); ++s) {
      if (left[s] == 0 || random() % 3 == 0) continue;
      // A third of the chunks are decodes.
      const int wanted = random() % 3 == 0 ? 1 : 1 + static_cast<int>(random() % largest);
      step.push_back({s, std::min(left[s], wanted)});
      left[s] -= step.back().tokens;
    }
    std::shuffle(step.begin(), step.end(), random);
    steps.push_back(step);
  }
  return steps;
}

void check_close(const std::vector<Matrix>& actual, const std::vector<Matrix>& expected,
                 double tolerance) {
  REQUIRE(actual.size() == expected.size());
  for (std::size_t s = 0; s < expected.size(); ++s) {
    INFO("sequence " << s);
    CHECK(actual[s].distance(expected[s]) <= tolerance);
  }
}

void check_same(const std::vector<Matrix>& actual, const std::vector<Matrix>& expected) {
  REQUIRE(actual.size() == expected.size());
  for (std::size_t s = 0; s < expected.size(); ++s) {
    INFO("sequence " << s);
    CHECK(actual[s].same_bits(expected[s]));
  }
}

}  // namespace quire::engine::testing
