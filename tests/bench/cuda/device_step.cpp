#include "tests/bench/cuda/device_step.h"

#include <algorithm>
#include <numeric>

#include "engine/backend/float_formats.h"

namespace quire::engine::bench {

Matrix Matrix::random(std::int64_t rows, std::int64_t cols, std::mt19937& random) {
  Matrix matrix(rows, cols);
  std::normal_distribution<float> normal;
  for (float& value : matrix.values_) value = normal(random);
  return matrix;
}

DeviceBuffer Matrix::upload(Backend& backend) const {
  const HostTensor part{.data = reinterpret_cast<const std::byte*>(values_.data()),
                        .dtype = DType::kFloat32,
                        .rows = 1,
                        .cols = rows_ * cols_,
                        .row_stride = rows_ * cols_};
  return backend.prepare_vector({&part, 1});
}

HostTensor Matrix::as_weight(DType dtype, std::vector<std::byte>& bytes) const {
  const std::int64_t element = dtype_bytes(dtype);
  bytes.resize(values_.size() * static_cast<std::size_t>(element));
  for (std::size_t i = 0; i < values_.size(); ++i) {
    store_float(bytes.data() + i * static_cast<std::size_t>(element), dtype, values_[i]);
  }
  return {.data = bytes.data(), .dtype = dtype, .rows = rows_, .cols = cols_, .row_stride = cols_};
}

Step::Step(const std::vector<Chunk>& chunks, std::int32_t block_size, std::int32_t pages,
           unsigned seed) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(pages) * chunks.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::shuffle(ids.begin(), ids.end(), std::mt19937(seed));
  for (const Chunk& chunk : chunks) {
    const auto table = blocks.size();
    for (std::int32_t b = 0; b < pages; ++b) {
      blocks.push_back(BlockId{ids.back()});
      ids.pop_back();
    }
    for (std::int32_t i = 0; i < chunk.tokens; ++i) {
      const std::int32_t p = chunk.first_position + i;
      const auto block = static_cast<std::int64_t>(blocks[table + p / block_size]);
      tokens.push_back(0);
      positions.push_back(p);
      slots.push_back(block * block_size + p % block_size);
    }
    query_start.push_back(static_cast<std::int32_t>(tokens.size()));
    context.push_back(chunk.first_position + chunk.tokens);
    block_start.push_back(static_cast<std::int32_t>(blocks.size()));
    samples.push_back(query_start.back() - 1);
  }
}

BatchInput Step::batch(bool with_samples) const {
  BatchInput batch{.token_ids = tokens,
                   .positions = positions,
                   .slot_mapping = slots,
                   .query_start_loc = query_start,
                   .context_lens = context,
                   .block_ids = blocks,
                   .block_start = block_start,
                   .sample_tokens = {}};
  if (with_samples) batch.sample_tokens = samples;
  return batch;
}

KvLayer layer_of(std::int32_t heads, std::int32_t head_dim, DType dtype, std::int32_t block_size,
                 std::int32_t layers) {
  const std::int64_t part =
      std::int64_t{block_size} * heads * cache::kv_head_bytes(head_dim, dtype);
  return {.pool = nullptr,
          .page_bytes = (layers * 2 * part + 4095) / 4096 * 4096,
          .layer_offset = layers / 2 * 2 * part,
          .part_bytes = part,
          .block_size = block_size,
          .num_kv_heads = heads,
          .head_dim = head_dim,
          .dtype = dtype};
}

}  // namespace quire::engine::bench
