#include "engine/backend/cpu/attention.h"

#include <algorithm>
#include <limits>
#include <string>

#include "engine/backend/cpu/kv_pages.h"
#include "engine/backend/kv_format.h"
#include "proto/error.h"

namespace quire::engine::cpu {
namespace {

constexpr std::int64_t kSharedWork = 1 << 15;  // multiply-adds worth waking the threads for

std::int64_t divide_up(std::int64_t value, std::int64_t by) { return (value + by - 1) / by; }

void check_head_dim(std::int32_t head_dim) {
  if (head_dim > 0 && head_dim <= kMaxHeadDim) return;
  throw StartupError("head_dim " + std::to_string(head_dim) + ": the CPU backend takes 1 to " +
                     std::to_string(kMaxHeadDim));
}

constexpr std::int64_t kUsualHeadDim =
    256;  // above it items have fewer rows, and nothing is widened
// Room for the queries (and the outputs) of one item.
constexpr std::int64_t kScratchFloats = kMaxAttentionRows * kUsualHeadDim;
// From this many rows on (two blocks of the kernel) a tile is widened to float32 once for all.
constexpr int kWidenFrom = 7;

}  // namespace

// What all items of one call share.
struct Attention::Call {
  TensorView q;
  const KvLayer& kv;
  const AttentionParams& params;
  const BatchInput& batch;
  TensorView out;
  std::int32_t group = 0;       // query heads per KV head
  std::int32_t heads = 0;       // of them in one item
  std::int32_t head_parts = 0;  // items that share a group
  std::int32_t tokens = 0;      // in one run
  std::int64_t row_stride = 0;  // of the scratch q and out
};

struct Attention::Item {
  std::int64_t row = 0;
  std::int64_t token_begin = 0;
  std::int64_t token_end = 0;
  std::int32_t kv_head = 0;
  std::int32_t head_begin = 0;  // query heads
  std::int32_t head_end = 0;

  [[nodiscard]] int rows() const {
    return static_cast<int>(token_end - token_begin) * (head_end - head_begin);
  }
};

// The state of one item's queries, (token, head) pairs in that order.
struct alignas(64) Attention::Scratch {
  float q[kScratchFloats];
  float out[kScratchFloats];
  float scores[kMaxAttentionRows * kKeyTile];
  float totals[kMaxAttentionRows * kTotalLanes];
  float maximum[kMaxAttentionRows];
  float shrink[kMaxAttentionRows];
  std::int32_t begin[kMaxAttentionRows];
  std::int32_t end[kMaxAttentionRows];
  float k[kKeyTile * kUsualHeadDim];  // a widened tile, subtiles after one another
  float v[kKeyTile * kUsualHeadDim];

  bool whole = false;  // begin and end say of all rows that they see the whole tile

  void load(const Call& call, const Item& item, const Kernels& kernels);
  void store(const Call& call, const Item& item, const Kernels& kernels) const;
};

void Attention::Scratch::load(const Call& call, const Item& item, const Kernels& kernels) {
  const std::int64_t dim = call.kv.head_dim;
  float* target = q;
  for (std::int64_t t = item.token_begin; t < item.token_end; ++t) {
    for (std::int32_t head = item.head_begin; head < item.head_end; ++head) {
      const float* source = call.q.row(t) + head * dim;
      kernels.scale_head(source, call.params.scale, dim, target);
      target += call.row_stride;
    }
  }
  whole = false;
  const int rows = item.rows();
  std::fill_n(out, rows * call.row_stride, 0.0f);
  std::fill_n(totals, rows * kTotalLanes, 0.0f);
  std::fill_n(maximum, rows, -std::numeric_limits<float>::infinity());
}

void Attention::Scratch::store(const Call& call, const Item& item, const Kernels& kernels) const {
  const std::int64_t dim = call.kv.head_dim;
  int row = 0;
  for (std::int64_t t = item.token_begin; t < item.token_end; ++t) {
    for (std::int32_t head = item.head_begin; head < item.head_end; ++head, ++row) {
      float sums[kTotalLanes];
      std::copy_n(totals + row * kTotalLanes, kTotalLanes, sums);
      for (int width = kTotalLanes / 2; width >= 1; width /= 2) {
        for (int i = 0; i < width; ++i) sums[i] += sums[i + width];
      }
      kernels.scale_head(out + row * call.row_stride, 1.0f / sums[0], dim,
                         call.out.row(t) + head * dim);
    }
  }
}

void Attention::reserve(std::int64_t max_rows) {
  max_rows_ = max_rows;
  first_run_ = HostMemory((max_rows + 1) * static_cast<std::int64_t>(sizeof(std::int64_t)));
  scratch_ = HostMemory(pool_.num_threads() * static_cast<std::int64_t>(sizeof(Scratch)));
}

Attention::Scratch& Attention::scratch(int worker) const {
  return reinterpret_cast<Scratch*>(scratch_.data())[worker];
}

void Attention::run(TensorView q, const KvLayer& kv, const AttentionParams& params,
                    const BatchInput& batch, TensorView out) {
  if (batch.num_tokens() == 0) return;
  check_head_dim(kv.head_dim);
  CHECK_EQ(params.num_heads % kv.num_kv_heads, 0);
  CHECK_EQ(kv.block_size % kSubtile, 0);
  CHECK_EQ(q.cols, static_cast<std::int64_t>(params.num_heads) * kv.head_dim);
  CHECK_LE(batch.num_rows(), max_rows_);
  Call call{.q = q, .kv = kv, .params = params, .batch = batch, .out = out};
  call.group = params.num_heads / kv.num_kv_heads;
  call.row_stride = divide_up(kv.head_dim, 16) * 16;
  const auto most_rows = static_cast<std::int32_t>(
      std::min<std::int64_t>(kMaxAttentionRows, kScratchFloats / call.row_stride));
  call.heads = std::min(call.group, most_rows);
  call.head_parts = static_cast<std::int32_t>(divide_up(call.group, call.heads));
  call.tokens = most_rows / call.heads;

  const std::int64_t runs = cut(call);
  std::int64_t work = 0;
  for (std::size_t r = 0; r < batch.context_lens.size(); ++r) {
    const std::int64_t tokens = batch.query_start_loc[r + 1] - batch.query_start_loc[r];
    work += tokens * batch.context_lens[r] * params.num_heads * kv.head_dim;
  }
  pool_.run_if(
      work >= kSharedWork, runs * kv.num_kv_heads * call.head_parts,
      [&](const WorkItem& item) { run_item(call, item_at(call, item.index), item.worker); });
}

// Counts the runs of tokens, leaving for each row how many come before it.
std::int64_t Attention::cut(Call& call) {
  auto* first_run = reinterpret_cast<std::int64_t*>(first_run_.data());
  const auto rows = static_cast<std::size_t>(call.batch.num_rows());
  first_run[0] = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    const std::int64_t tokens = call.batch.query_start_loc[r + 1] - call.batch.query_start_loc[r];
    first_run[r + 1] = first_run[r] + divide_up(tokens, call.tokens);
  }
  return first_run[rows];
}

// Items are ordered by row, KV head, part of the head's group and run: those next to each other
// read the same pages.
Attention::Item Attention::item_at(const Call& call, std::int64_t index) const {
  const auto* first_run = reinterpret_cast<const std::int64_t*>(first_run_.data());
  const std::int64_t per_run = static_cast<std::int64_t>(call.kv.num_kv_heads) * call.head_parts;
  const std::int64_t rows = call.batch.num_rows();
  const std::int64_t* after = std::upper_bound(first_run, first_run + rows + 1, index / per_run);
  Item item{.row = after - first_run - 1};
  const std::int64_t runs = first_run[item.row + 1] - first_run[item.row];
  const std::int64_t in_row = index - first_run[item.row] * per_run;
  const std::int64_t run = in_row % runs;
  const auto part = static_cast<std::int32_t>(in_row / runs % call.head_parts);
  item.kv_head = static_cast<std::int32_t>(in_row / runs / call.head_parts);

  const auto r = static_cast<std::size_t>(item.row);
  const std::int64_t end = call.batch.query_start_loc[r + 1];
  item.token_begin = call.batch.query_start_loc[r] + run * call.tokens;
  item.token_end = std::min(item.token_begin + call.tokens, end);
  const std::int32_t first_head = item.kv_head * call.group;
  item.head_begin = first_head + part * call.heads;
  item.head_end = first_head + std::min((part + 1) * call.heads, call.group);
  return item;
}

namespace {

// Positions [begin, end) that a query at `position` sees.
struct Seen {
  std::int64_t begin;
  std::int64_t end;
};

Seen seen_by(std::int64_t position, std::int32_t window) {
  const std::int64_t begin = window > 0 ? std::max<std::int64_t>(0, position - window + 1) : 0;
  return {begin, position + 1};
}

// The pages of one sequence under one KV head.
struct HeadPages {
  const KvLayer& kv;
  const BlockId* blocks;
  std::int32_t kv_head;

  // K of the subtile that holds `position`.
  [[nodiscard]] const std::byte* keys(std::int64_t position) const {
    const auto block = static_cast<std::int64_t>(blocks[position / kv.block_size]);
    return kv.pool + block * kv.page_bytes + kv.layer_offset +
           subtile_offset(kv, kv_head, position % kv.block_size);
  }
  // K's scales of the subtile that holds `position`.
  [[nodiscard]] const std::byte* scales(std::int64_t position) const {
    const auto block = static_cast<std::int64_t>(blocks[position / kv.block_size]);
    const std::int64_t slot = position % kv.block_size / kSubtile * kSubtile;
    return kv.pool + block * kv.page_bytes + kv.layer_offset + kv.scale_offset(kv_head, slot);
  }
  // Points a tile at the pages of the positions [begin, end), all inside one softmax tile. Subtiles
  // outside may have no page: they are pointed at one that has, computed and masked. The tile after
  // it reaches to `last` at most.
  void point(AttentionTile& tile, std::int64_t begin, std::int64_t end, std::int64_t last) const {
    const std::int64_t tile_begin = begin / kKeyTile * kKeyTile;
    for (int i = 0; i < kSubtiles; ++i) {
      const std::int64_t position = tile_begin + i * kSubtile;
      tile.k[i] = keys(std::clamp(position, begin, end - 1));
      tile.v[i] = tile.k[i] + kv.part_bytes;
      tile.next_k[i] = keys(std::min(std::max(position + kKeyTile, begin), last));
      if (!has_scales(kv.dtype)) continue;
      tile.k_scale[i] = scales(std::clamp(position, begin, end - 1));
      tile.v_scale[i] = tile.k_scale[i] + kv.part_bytes;
    }
  }
};

}  // namespace

// Notes which keys of the tile at `tile_begin` each row sees, and returns the tokens that see any:
// tokens are in the order of their positions, so those are neighbours.
Attention::Run Attention::mark_seen(const Call& call, const Item& item, std::int64_t tile_begin,
                                    Scratch& state) const {
  const auto seen_of = [&](std::int64_t token) {
    return seen_by(call.batch.positions[static_cast<std::size_t>(token)], call.params.window);
  };
  if (seen_of(item.token_begin).end >= tile_begin + kKeyTile &&
      seen_of(item.token_end - 1).begin <= tile_begin) {
    if (!state.whole) {
      std::fill_n(state.begin, item.rows(), 0);
      std::fill_n(state.end, item.rows(), kKeyTile);
      state.whole = true;
    }
    return {.first = 0, .last = static_cast<int>(item.token_end - item.token_begin)};
  }
  state.whole = false;
  const int heads = item.head_end - item.head_begin;
  Run seeing{.first = kMaxAttentionRows, .last = 0};
  for (std::int64_t t = item.token_begin; t < item.token_end; ++t) {
    const Seen seen = seen_of(t);
    const auto begin = std::clamp<std::int64_t>(seen.begin - tile_begin, 0, kKeyTile);
    const auto end = std::clamp<std::int64_t>(seen.end - tile_begin, 0, kKeyTile);
    const auto token = static_cast<int>(t - item.token_begin);
    for (int row = token * heads; row < (token + 1) * heads; ++row) {
      state.begin[row] = static_cast<std::int32_t>(begin);
      state.end[row] = static_cast<std::int32_t>(end);
    }
    if (begin >= end) continue;
    seeing.first = std::min(seeing.first, token);
    seeing.last = token + 1;
  }
  return seeing;
}

// Widens the keys and the seen values of a tile into the scratch memory and points the tile there:
// the same numbers (scales stay apart), so the float32 kernel gives the same bits.
void Attention::widen(DType dtype, AttentionTile& tile, Scratch& state) const {
  const auto convert = kernels_.widen[static_cast<int>(dtype)];
  const std::int64_t size = std::int64_t{kSubtile} * tile.head_dim;
  const std::int64_t row_bytes = tile.head_dim * dtype_bytes(dtype);
  for (int i = 0; i < kSubtiles; ++i) {
    float* k = state.k + i * size;
    float* v = state.v + i * size;
    convert(tile.k[i], size, k);
    const int begin = std::clamp(tile.all_begin - i * kSubtile, 0, kSubtile);
    const int end = std::clamp(tile.all_end - i * kSubtile, 0, kSubtile);
    if (begin < end) {
      convert(tile.v[i] + begin * row_bytes, std::int64_t{end - begin} * tile.head_dim,
              v + begin * tile.head_dim);
    }
    tile.k[i] = tile.next_k[i] = reinterpret_cast<const std::byte*>(k);
    tile.v[i] = reinterpret_cast<const std::byte*>(v);
  }
}

void Attention::run_item(const Call& call, const Item& item, int worker) const {
  Scratch& state = scratch(worker);
  state.load(call, item, kernels_);
  const BatchInput& batch = call.batch;
  const HeadPages pages{
      .kv = call.kv,
      .blocks = batch.block_ids.data() + batch.block_start[static_cast<std::size_t>(item.row)],
      .kv_head = item.kv_head};
  const int heads = item.head_end - item.head_begin;
  const std::int64_t first_position = batch.positions[static_cast<std::size_t>(item.token_begin)];
  const std::int64_t last_position = batch.positions[static_cast<std::size_t>(item.token_end - 1)];

  const std::int64_t begin = seen_by(first_position, call.params.window).begin;
  for (std::int64_t tile_begin = begin / kKeyTile * kKeyTile; tile_begin <= last_position;
       tile_begin += kKeyTile) {
    const Run seeing = mark_seen(call, item, tile_begin, state);
    if (seeing.first >= seeing.last) continue;
    const int row = seeing.first * heads;
    AttentionTile tile{.rows = (seeing.last - seeing.first) * heads,
                       .head_dim = call.kv.head_dim,
                       .row_stride = call.row_stride,
                       .q = state.q + row * call.row_stride,
                       .out = state.out + row * call.row_stride,
                       .maximum = state.maximum + row,
                       .totals = state.totals + row * kTotalLanes,
                       .scores = state.scores,
                       .shrink = state.shrink + row,
                       .begin = state.begin + row,
                       .end = state.end + row,
                       .all_begin = state.begin[row],
                       .all_end = state.end[seeing.last * heads - 1]};
    pages.point(tile, tile_begin + tile.all_begin, tile_begin + tile.all_end, last_position);
    DType dtype = call.kv.dtype;
    if (tile.rows >= kWidenFrom && dtype != DType::kFloat32 && tile.head_dim <= kUsualHeadDim) {
      widen(dtype, tile, state);
      dtype = DType::kFloat32;
    }
    kernels_.attention[static_cast<int>(dtype)](tile);
  }
  state.store(call, item, kernels_);
}

}  // namespace quire::engine::cpu
