#include "engine/backend/cuda/step_upload.h"

#include <algorithm>
#include <cstring>

#include "engine/backend/cuda/schedule.h"
#include "proto/check.h"

namespace quire::engine::cuda {

namespace {

constexpr std::int64_t kAlign = 64;                     // of every array
constexpr std::int32_t kDecodeBlocks = 1024;            // of threads, shared out over KV heads
constexpr std::int64_t kSpare = std::int64_t{1} << 20;  // for ids that are not the batch's own

std::int64_t capacity(const UploadLimits& limits, std::size_t kinds) {
  const std::int64_t tokens = limits.attention.max_tokens;
  const std::int64_t items = AttentionPlan::max_decode_items(limits.attention) +
                             AttentionPlan::max_tile_items(limits.attention, limits.max_group);
  const std::int64_t work =
      items * std::int64_t{sizeof(QuireCudaAttentionItem)} +
      limits.attention.max_rows * std::int64_t{sizeof(QuireCudaAttentionMerge)} + 8 * kAlign;
  return tokens * 16 + limits.max_samples * 4 + static_cast<std::int64_t>(kinds) * work +
         limits.max_blocks * 4 + kSpare;
}

}  // namespace

StepUpload::StepUpload(Device& device, const UploadLimits& limits)
    : limits_(limits),
      host_{Memory(device, kQuireCudaPinned, capacity(limits, kMaxKinds)),
            Memory(device, kQuireCudaPinned, capacity(limits, kMaxKinds))},
      device_(device, kQuireCudaDevice, host_[0].bytes()) {
  works_.reserve(kMaxKinds);
}

template <typename T>
T* StepUpload::take(std::int64_t count) {
  used_ = round_up(used_, kAlign);
  auto* data = reinterpret_cast<T*>(device_.data() + used_);
  used_ += count * std::int64_t{sizeof(T)};
  CHECK_LE(used_, device_.bytes());
  return data;
}

template <typename T>
T* StepUpload::on_host(const T* device) const {
  const std::int64_t offset = reinterpret_cast<const std::byte*>(device) - device_.data();
  return reinterpret_cast<T*>(host_[turn_].data() + offset);
}

// `count` values: the given ones, then padding.
template <typename T>
const T* StepUpload::store(std::span<const T> values, std::int64_t count, T padding) {
  T* device = take<T>(count);
  T* host = on_host(device);
  std::copy(values.begin(), values.end(), host);
  std::fill(host + values.size(), host + count, padding);
  return device;
}

void StepUpload::begin(const BatchInput& batch, std::int64_t padded_tokens) {
  turn_ = 1 - turn_;
  used_ = 0;
  sent_ = 0;
  num_works_ = 0;
  block_index_ = -1;
  batch_ = batch;
  padded_tokens_ = padded_tokens;
  const std::int64_t tokens = std::max(batch.num_tokens(), padded_tokens);
  const auto num_samples = static_cast<std::int64_t>(batch.sample_tokens.size());
  const std::int64_t samples = std::max(num_samples, padded_tokens);
  token_ids_ = store<std::int32_t>(batch.token_ids, tokens, 0);
  positions_ = store<std::int32_t>(batch.positions, tokens, 0);
  slots_ = store<std::int64_t>(batch.slot_mapping, tokens, -1);
  samples_ = store<std::int32_t>(batch.sample_tokens, samples, 0);
}

const std::int32_t* StepUpload::ids(std::span<const std::int32_t> values, std::int64_t count) {
  if (values.empty()) return token_ids_;
  const auto is = [&](std::span<const std::int32_t> own) {
    return values.data() == own.data() && values.size() == own.size();
  };
  if (is(batch_.token_ids)) return token_ids_;
  if (is(batch_.positions)) return positions_;
  if (is(batch_.sample_tokens)) return samples_;
  return store<std::int32_t>(values, count, 0);
}

StepUpload::Work& StepUpload::new_work(const AttentionKind& kind) {
  CHECK_LT(num_works_, kMaxKinds);
  CHECK_LE(kind.group(), limits_.max_group);
  if (num_works_ == works_.size()) {
    works_.push_back({.kind = kind, .plan = AttentionPlan(limits_.attention)});
  }
  Work& work = works_[num_works_++];
  work.kind = kind;
  work.filled = false;
  work.plan.plan(batch_, kind);
  return work;
}

QuireCudaAttentionWork StepUpload::attention(const AttentionKind& kind) {
  for (std::size_t i = 0; i < num_works_; ++i) {
    const AttentionKind& known = works_[i].kind;
    if (known.num_heads == kind.num_heads && known.num_kv_heads == kind.num_kv_heads &&
        known.window == kind.window) {
      return works_[i].device;
    }
  }
  Work& work = new_work(kind);
  const bool padded = padded_tokens_ > 0;
  const auto decode_items = static_cast<std::int64_t>(work.plan.decode_items().size());
  const auto tile_items = static_cast<std::int64_t>(work.plan.tile_items().size());
  const auto merges = static_cast<std::int64_t>(work.plan.merges().size());
  // A padded step's counts vary under the same addresses, so its grids are the largest useful ones.
  const std::int64_t most_items = padded_tokens_ + limits_.attention.partial_slots;
  const std::int64_t most_merges = padded ? padded_tokens_ : merges;
  // Of a decode, only where the group is wider than one warp's rows.
  const std::int64_t tiles_each = ceil_div(kind.group(), kWarpRows * kTileWarps);
  const bool wide = kind.group() > kWarpRows;
  const std::int64_t most_tiles = padded ? (wide ? padded_tokens_ * tiles_each : 0) : tile_items;
  const std::int64_t decode_grid =
      padded ? std::min<std::int64_t>(most_items, ceil_div(kDecodeBlocks, kind.num_kv_heads))
             : decode_items;
  work.device = {.counts = take<QuireCudaAttentionCounts>(1),
                 .decode_items = take<QuireCudaAttentionItem>(padded ? most_items : decode_items),
                 .tile_items = take<QuireCudaAttentionItem>(most_tiles),
                 .merges = take<QuireCudaAttentionMerge>(most_merges),
                 .block_ids = reinterpret_cast<const std::int32_t*>(device_.data()),
                 .partials = nullptr,
                 .num_heads = kind.num_heads,
                 .window = kind.window,
                 .scale = 0.0f,
                 .decode_grid = static_cast<std::int32_t>(decode_grid),
                 .tile_grid = static_cast<std::int32_t>(most_tiles),
                 .merge_grid = static_cast<std::int32_t>(most_merges)};
  return work.device;
}

// Writes the work items, with their tables' places.
void StepUpload::fill(Work& work, std::int64_t first_block_index) {
  const auto rebase = [first_block_index](QuireCudaAttentionItem item) {
    item.block_begin += static_cast<std::int32_t>(first_block_index);
    return item;
  };
  const auto& decode = work.plan.decode_items();
  const auto& tiles = work.plan.tile_items();
  const auto& merges = work.plan.merges();
  *on_host(work.device.counts) = {.decode_items = static_cast<std::int32_t>(decode.size()),
                                  .tile_items = static_cast<std::int32_t>(tiles.size()),
                                  .merges = static_cast<std::int32_t>(merges.size()),
                                  .tokens = static_cast<std::int32_t>(batch_.num_tokens())};
  std::transform(decode.begin(), decode.end(), on_host(work.device.decode_items), rebase);
  std::transform(tiles.begin(), tiles.end(), on_host(work.device.tile_items), rebase);
  std::copy(merges.begin(), merges.end(), on_host(work.device.merges));
  work.filled = true;
}

void StepUpload::send(Stream& stream) {
  std::int64_t first = sent_;
  if (num_works_ > 0 && block_index_ < 0) {
    static_assert(sizeof(BlockId) == sizeof(std::int32_t));
    const auto count = static_cast<std::int64_t>(batch_.block_ids.size());
    std::int32_t* blocks = take<std::int32_t>(count);
    block_index_ = (reinterpret_cast<std::byte*>(blocks) - device_.data()) / 4;
    std::memcpy(on_host(blocks), batch_.block_ids.data(), static_cast<std::size_t>(count) * 4);
  }
  for (std::size_t i = 0; i < num_works_; ++i) {
    if (!works_[i].filled) fill(works_[i], block_index_);
  }
  if (used_ == first) return;
  stream.copy(device_.data() + first, host_[turn_].data() + first, used_ - first);
  sent_ = used_;
}

}  // namespace quire::engine::cuda
