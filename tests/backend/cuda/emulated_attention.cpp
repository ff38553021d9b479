// Attention as the kernels schedule it: items, splits, tiles, masks and merges.

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

#include "engine/backend/cuda/page_codes.h"
#include "engine/backend/cuda/schedule.h"
#include "engine/backend/cuda/softmax.h"
#include "engine/backend/float_formats.h"
#include "engine/backend/kv_format.h"
#include "proto/check.h"
#include "tests/backend/cuda/emulated_ops.h"

namespace quire::engine::cuda::testing {
namespace {

// The sums of one query row, over a split or over several.
struct RowSums {
  float maximum = kNoScore;
  float total = 0.0f;
  std::vector<float> output;

  explicit RowSums(std::int32_t head_dim) : output(static_cast<std::size_t>(head_dim)) {}
  [[nodiscard]] bool empty() const { return maximum == kNoScore; }
};

// A key's value: null where no row of the item sees it (those lines are zeros).
struct Value {
  const std::byte* line = nullptr;
  float scale = 1.0f;
};

class Kernel {
 public:
  explicit Kernel(const QuireCudaOp& op)
      : op_(op),
        kv_(op.kv),
        type_(static_cast<DType>(op.kv.type)),
        arithmetic_(has_scales(type_) ? DType::kBFloat16 : type_),
        group_(op.attention.num_heads / op.kv.num_kv_heads) {}

  void run() const;

 private:
  void run_item(const QuireCudaAttentionItem& item, std::int32_t kv_head,
                std::int32_t most_rows) const;
  void merge(const QuireCudaAttentionMerge& merge, std::int32_t kv_head, std::int32_t row) const;
  [[nodiscard]] RowSums split_sums(const QuireCudaAttentionItem& item, std::int32_t kv_head,
                                   std::int32_t row, KeyRange keys, std::int32_t first_line) const;
  void take_tile(RowSums& sums, std::span<const float> scores, std::span<const Value> values) const;
  void add_split(RowSums& sums, const RowSums& split) const;
  void finish(const RowSums& sums, std::int32_t token, std::int32_t kv_head,
              std::int32_t head) const;
  [[nodiscard]] const std::byte* key(std::int32_t block_begin, std::int32_t position,
                                     std::int32_t kv_head) const;
  [[nodiscard]] float rounded(float value) const {
    std::byte stored[4] = {};
    store_float(stored, arithmetic_, value);
    return load_float(stored, arithmetic_);
  }
  // Element d of a key or value in a page.
  [[nodiscard]] float number(const std::byte* line, std::size_t d) const {
    if (!has_scales(type_)) return load_float(line + d * dtype_bytes(type_), type_);
    const auto code = std::to_integer<std::uint32_t>(line[d]);
    const float value = type_ == DType::kInt8 ? int8_number_of(code) : fp8_number_of(code);
    CHECK_EQ(rounded(value), value);
    return value;
  }
  // 1 where there is none.
  [[nodiscard]] float scale_at(std::int32_t block_begin, std::int32_t position,
                               std::int32_t kv_head, std::int64_t part) const;

  const QuireCudaOp& op_;
  const QuireCudaKv& kv_;
  DType type_;
  DType arithmetic_;
  std::int32_t group_;
};

const std::byte* Kernel::key(std::int32_t block_begin, std::int32_t position,
                             std::int32_t kv_head) const {
  const std::int32_t block = op_.attention.block_ids[block_begin + position / kv_.block_size];
  return static_cast<const std::byte*>(kv_.pool) + kv_.layer_offset +
         slot_offset(block, position % kv_.block_size, kv_head, kv_.block_size, kv_.head_dim,
                     static_cast<std::int32_t>(dtype_bytes(type_)), kv_.page_bytes);
}

float Kernel::scale_at(std::int32_t block_begin, std::int32_t position, std::int32_t kv_head,
                       std::int64_t part) const {
  if (!has_scales(type_)) return 1.0f;
  const std::int32_t block = op_.attention.block_ids[block_begin + position / kv_.block_size];
  const auto* at = static_cast<const std::byte*>(kv_.pool) + kv_.layer_offset + part +
                   slot_scale_offset(block, position % kv_.block_size, kv_head, kv_.block_size,
                                     kv_.num_kv_heads, kv_.head_dim, kv_.page_bytes);
  return load_float(at, DType::kBFloat16);
}

// One tile into the sums of a row: scores are kNoScore where the row does not see the key.
void Kernel::take_tile(RowSums& sums, std::span<const float> scores,
                       std::span<const Value> values) const {
  float maximum = sums.maximum;
  for (const float score : scores) maximum = std::max(maximum, score);
  const float factor = rescale(sums.maximum, maximum);
  sums.maximum = maximum;
  float added = 0.0f;
  for (float& value : sums.output) value *= factor;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const float weight = weight_of(scores[i], maximum);
    added += weight;
    if (values[i].line == nullptr) continue;
    const float scaled = scores[i] == kNoScore ? 0.0f : weight * values[i].scale;
    for (std::size_t d = 0; d < sums.output.size(); ++d) {
      sums.output[d] = std::fma(rounded(scaled), number(values[i].line, d), sums.output[d]);
    }
  }
  sums.total = std::fma(sums.total, factor, added);
}

RowSums Kernel::split_sums(const QuireCudaAttentionItem& item, std::int32_t kv_head,
                           std::int32_t row, KeyRange keys, std::int32_t first_line) const {
  const std::int32_t position = item.first_position + token_of_row(row, group_);
  const std::int32_t token = item.token_begin + token_of_row(row, group_);
  const std::int32_t oldest = first_key(position, op_.attention.window);
  const std::int32_t head = kv_head * group_ + head_of_row(row, group_);
  const float* q = static_cast<const float*>(op_.x.data) + token * op_.x.row_stride +
                   static_cast<std::int64_t>(head) * kv_.head_dim;
  RowSums sums(kv_.head_dim);
  for (std::int32_t tile = keys.begin; tile < keys.end; tile += kAttentionTile) {
    std::array<float, kAttentionTile> scores;
    std::array<Value, kAttentionTile> values{};
    for (std::int32_t i = 0; i < kAttentionTile; ++i) {
      scores[i] = kNoScore;
      // Lines before the oldest key of the item, or past its last, are not read.
      if (tile + i < keys.end && tile + i >= first_line) {
        const std::byte* line = key(item.block_begin, tile + i, kv_head);
        if (tile + i <= position && tile + i >= oldest) {
          float sum = 0.0f;
          for (std::int32_t d = 0; d < kv_.head_dim; ++d) {
            sum = std::fma(rounded(q[d]), number(line, static_cast<std::size_t>(d)), sum);
          }
          sum *= scale_at(item.block_begin, tile + i, kv_head, 0);
          scores[i] = sum * (op_.attention.scale * kLog2E);
        }
        values[i] = {.line = line + kv_.part_bytes,
                     .scale = scale_at(item.block_begin, tile + i, kv_head, kv_.part_bytes)};
      }
    }
    take_tile(sums, scores, values);
  }
  return sums;
}

void Kernel::add_split(RowSums& sums, const RowSums& split) const {
  if (split.empty()) return;
  if (sums.empty()) {
    sums = split;
    return;
  }
  const MergeFactors factors = merge_factors(sums.maximum, split.maximum);
  sums.maximum = factors.maximum;
  sums.total = merged(sums.total, split.total, factors);
  for (std::size_t d = 0; d < sums.output.size(); ++d) {
    sums.output[d] = merged(sums.output[d], split.output[d], factors);
  }
}

void Kernel::finish(const RowSums& sums, std::int32_t token, std::int32_t kv_head,
                    std::int32_t head) const {
  float* out = static_cast<float*>(op_.out.data) + token * op_.out.row_stride +
               static_cast<std::int64_t>(kv_head * group_ + head) * kv_.head_dim;
  for (std::size_t d = 0; d < sums.output.size(); ++d) {
    out[d] = normalised(sums.output[d], sums.total);
  }
}

void Kernel::run_item(const QuireCudaAttentionItem& item, std::int32_t kv_head,
                      std::int32_t most_rows) const {
  const std::int32_t all = rows_of_chunk(item.num_tokens, group_);
  const std::int32_t end = smaller(item.first_row + most_rows, all);
  const std::int32_t first = item.first_position + token_of_row(item.first_row, group_);
  const std::int32_t last = item.first_position + token_of_row(end - 1, group_);
  for (std::int32_t row = item.first_row; row < end; ++row) {
    RowSums sums(kv_.head_dim);
    for (std::int32_t split = item.split_begin; split < item.split_end; ++split) {
      const KeyRange keys = keys_of_split(split, first, last, op_.attention.window);
      const RowSums one =
          split_sums(item, kv_head, row, keys, first_key(first, op_.attention.window));
      if (item.partial < 0) {
        add_split(sums, one);
        continue;
      }
      CHECK_EQ(item.split_end, item.split_begin + 1);
      float* out = op_.attention.partials +
                   partial_row(item.partial, kv_head, row, kv_.num_kv_heads, kv_.head_dim);
      std::copy(one.output.begin(), one.output.end(), out);
      out[kv_.head_dim] = one.maximum;
      out[kv_.head_dim + 1] = one.total;
    }
    if (item.partial >= 0) continue;
    finish(sums, item.token_begin + token_of_row(row, group_), kv_head, head_of_row(row, group_));
  }
}

void Kernel::merge(const QuireCudaAttentionMerge& merge, std::int32_t kv_head,
                   std::int32_t row) const {
  const std::int32_t position = merge.first_position + token_of_row(row, group_);
  RowSums sums(kv_.head_dim);
  for (std::int32_t split = split_of(first_key(position, op_.attention.window));
       split <= split_of(position); ++split) {
    const float* in =
        op_.attention.partials + partial_row(merge.partial + split - merge.split_begin, kv_head,
                                             row, kv_.num_kv_heads, kv_.head_dim);
    RowSums one(kv_.head_dim);
    std::copy_n(in, kv_.head_dim, one.output.begin());
    one.maximum = in[kv_.head_dim];
    one.total = in[kv_.head_dim + 1];
    add_split(sums, one);
  }
  finish(sums, merge.token_begin + token_of_row(row, group_), kv_head, head_of_row(row, group_));
}

void Kernel::run() const {
  const QuireCudaAttentionWork& work = op_.attention;
  for (std::int32_t head = 0; head < kv_.num_kv_heads; ++head) {
    for (std::int32_t block = 0; block < work.decode_grid; ++block) {
      for (std::int32_t i = block; i < work.counts->decode_items; i += work.decode_grid) {
        run_item(work.decode_items[i], head, kWarpRows);
      }
    }
    for (std::int32_t block = 0; block < work.tile_grid; ++block) {
      for (std::int32_t i = block; i < work.counts->tile_items; i += work.tile_grid) {
        run_item(work.tile_items[i], head, kWarpRows * kTileWarps);
      }
    }
    for (std::int32_t block = 0; block < work.merge_grid; ++block) {
      if (block >= work.counts->merges) continue;
      const QuireCudaAttentionMerge& one = work.merges[block];
      const std::int32_t rows = rows_of_chunk(one.num_tokens, group_);
      for (std::int32_t row = 0; row < rows; ++row) merge(one, head, row);
    }
  }
}

}  // namespace

void emulate_attention(const QuireCudaOp& op) { Kernel(op).run(); }

}  // namespace quire::engine::cuda::testing
