#pragma once
// Paged attention over pages of 16 or 8 bits, as schedule.h and softmax.h say: one kernel for
// decodes and prompts, in which a warp computes 16 query rows over tiles of 64 keys with the same
// instructions; only the number of warps that share a tile differs.
//
// A tile's keys and values lie in shared memory once; while one of them is used, the other is on
// its way. Lines are padded by 16 bytes, so that the matrix loads touch no bank twice.

#include "engine/backend/cuda/kernels/code_tiles.cuh"
#include "engine/backend/cuda/kernels/half_types.cuh"
#include "engine/backend/cuda/kernels/launch.h"
#include "engine/backend/cuda/schedule.h"
#include "engine/backend/cuda/softmax.h"

namespace quire::engine::cuda {

// kDim: the head size, rounded up to what there are kernels for; dims past the head's are zeros.
template <typename Page, int kDim, int kWarps>
struct AttentionShared : AttentionTiles<Page, kDim> {
  static constexpr int kLine = kDim + 8;  // elements
  typename PageFormat<Page>::Number queries[kWarps * kWarpRows][kLine];
  float merged[kWarps][kDim / 8][4][32];  // of the splits before: each thread's own fragments
  int64_t lines[kAttentionTile];  // where a tile's keys lie, from the layer's part; -1: none
};

// Sums of two rows (g and g + 8 of the warp) that a thread has a part of.
template <int kDim>
struct AttentionSums {
  float output[kDim / 8][4];
  float maximum[2];
  float total[2];

  __device__ void clear() {
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) output[n][i] = 0.0f;
    }
    maximum[0] = maximum[1] = kNoScore;
    total[0] = total[1] = 0.0f;
  }
};

template <typename Page, int kDim, int kWarps>
class AttentionBlock {
 public:
  using Shared = AttentionShared<Page, kDim, kWarps>;
  using T = typename PageFormat<Page>::Number;
  static constexpr bool kCodes = PageFormat<Page>::kCodes;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kScores = kAttentionTile / 8;
  __device__ static int parity_of(int tile) { return tile / kAttentionTile % 2; }

  __device__ AttentionBlock(const QuireCudaOp& op, Shared& shared)
      : op_(op),
        shared_(shared),
        group_(op.attention.num_heads / op.kv.num_kv_heads),
        warp_(threadIdx.x / 32),
        lane_(threadIdx.x % 32) {}

  __device__ void run(const QuireCudaAttentionItem& item, int kv_head);

 private:
  __device__ void load_queries(const QuireCudaAttentionItem& item, int kv_head);
  __device__ void find_lines(const QuireCudaAttentionItem& item, int kv_head, int tile);
  __device__ void find_scale_lines(const QuireCudaAttentionItem& item, int kv_head, int tile);
  __device__ void load_tile(T (*to)[Shared::kLine], int64_t part);
  __device__ void multiply_keys(float (&scores)[kScores][4]) const;
  __device__ void soften(float (&scores)[kScores][4], int tile, AttentionSums<kDim>& sums) const;
  __device__ void scale_weights(float (&weights)[kScores][4], int tile) const;
  __device__ void multiply_values(const float (&weights)[kScores][4],
                                  AttentionSums<kDim>& sums) const;
  __device__ void load_first(int tile);
  __device__ void take_numbers(const QuireCudaAttentionItem& item, int kv_head, int tile, bool more,
                               AttentionSums<kDim>& sums);
  __device__ void take_codes(const QuireCudaAttentionItem& item, int kv_head, int tile, bool more,
                             AttentionSums<kDim>& sums);
  __device__ void fold(const AttentionSums<kDim>& split);
  __device__ void store_partial(const QuireCudaAttentionItem& item, int kv_head,
                                const AttentionSums<kDim>& split) const;
  __device__ void store_output(const QuireCudaAttentionItem& item, int kv_head) const;

  const QuireCudaOp& op_;
  Shared& shared_;
  const int group_;
  const int warp_;
  const int lane_;
  // Of the item:
  int all_rows_ = 0;
  int first_line_ = 0;  // the oldest key that any row sees
  int end_key_ = 0;
  int row_[2] = {};
  int position_[2] = {};
  int oldest_[2] = {};
  float maximum_[2] = {};  // of the splits before
  float total_[2] = {};
};

template <typename Page, int kDim, int kWarps>
__device__ void AttentionBlock<Page, kDim, kWarps>::load_queries(const QuireCudaAttentionItem& item,
                                                                 int kv_head) {
  const int head_dim = op_.kv.head_dim;
  for (int i = threadIdx.x; i < kWarps * kWarpRows * kDim; i += kThreads) {
    const int row = item.first_row + i / kDim;
    const int dim = i % kDim;
    float value = 0.0f;
    if (row < all_rows_ && dim < head_dim) {
      const int64_t token = item.token_begin + token_of_row(row, group_);
      const int head = kv_head * group_ + head_of_row(row, group_);
      value = static_cast<const float*>(
          op_.x.data)[token * op_.x.row_stride + static_cast<int64_t>(head) * head_dim + dim];
    }
    to_half(value, shared_.queries[i / kDim][dim]);
  }
}

template <typename Page, int kDim, int kWarps>
__device__ void AttentionBlock<Page, kDim, kWarps>::find_lines(const QuireCudaAttentionItem& item,
                                                               int kv_head, int tile) {
  const QuireCudaKv& kv = op_.kv;
  for (int i = threadIdx.x; i < kAttentionTile; i += kThreads) {
    const int key = tile + i;
    int64_t line = -1;
    if (key >= first_line_ && key < end_key_) {
      const int32_t block = op_.attention.block_ids[item.block_begin + key / kv.block_size];
      line = slot_offset(block, key % kv.block_size, kv_head, kv.block_size, kv.head_dim,
                         kCodes ? 1 : 2, kv.page_bytes);
    }
    shared_.lines[i] = line;
  }
  if constexpr (kCodes) find_scale_lines(item, kv_head, tile);
}

// Scales of neighbours lie together: they are read where one of them is of a key that is.
template <typename Page, int kDim, int kWarps>
__device__ void AttentionBlock<Page, kDim, kWarps>::find_scale_lines(
    const QuireCudaAttentionItem& item, int kv_head, int tile) {
  const QuireCudaKv& kv = op_.kv;
  for (int i = threadIdx.x; i < kAttentionTile / Shared::kScales; i += kThreads) {
    const int first = tile + i * Shared::kScales;
    int64_t line = -1;
    if (first + Shared::kScales > first_line_ && first < end_key_) {
      const int32_t block = op_.attention.block_ids[item.block_begin + first / kv.block_size];
      line = slot_scale_offset(block, first % kv.block_size, kv_head, kv.block_size,
                               kv.num_kv_heads, kv.head_dim, kv.page_bytes);
    }
    shared_.scale_lines[i] = line;
  }
}

// A tile of keys or values, as one group of copies.
template <typename Page, int kDim, int kWarps>
__device__ void AttentionBlock<Page, kDim, kWarps>::load_tile(T (*to)[Shared::kLine],
                                                              int64_t part) {
  constexpr int kPieces = kDim / 8;
  const char* layer = static_cast<const char*>(op_.kv.pool) + op_.kv.layer_offset + part;
  const int pieces = op_.kv.head_dim / 8;
  for (int i = threadIdx.x; i < kAttentionTile * kPieces; i += kThreads) {
    const int64_t line = shared_.lines[i / kPieces];
    const bool exists = line >= 0 && i % kPieces < pieces;
    copy_later(&to[i / kPieces][i % kPieces * 8], exists ? layer + line + i % kPieces * 16 : layer,
               exists);
  }
  commit_copies();
}

// scores[n]: rows g, g + 8 by keys 8 n + 2 t, + 1.
template <typename Page, int kDim, int kWarps>
__device__ void AttentionBlock<Page, kDim, kWarps>::multiply_keys(
    float (&scores)[kScores][4]) const {
#pragma unroll
  for (int n = 0; n < kScores; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[n][i] = 0.0f;
  }
  const int matrix = lane_ / 8;
#pragma unroll
  for (int k = 0; k < kDim; k += kInstructionK) {
    uint32_t q[4];
    load_matrices(
        q, &shared_.queries[warp_ * kWarpRows + lane_ % 8 + matrix % 2 * 8][k + matrix / 2 * 8]);
#pragma unroll
    for (int n = 0; n < kScores; n += 2) {
      uint32_t keys[4];
      load_matrices(keys, &shared_.keys[n * 8 + matrix / 2 * 8 + lane_ % 8][k + matrix % 2 * 8]);
      multiply(scores[n], q, keys[0], keys[1], T{});
      multiply(scores[n + 1], q, keys[2], keys[3], T{});
    }
  }
}

// Scores to weights; the sums so far to the new maximum.
template <typename Page, int kDim, int kWarps>
__device__ void AttentionBlock<Page, kDim, kWarps>::soften(float (&scores)[kScores][4], int tile,
                                                           AttentionSums<kDim>& sums) const {
  const float scale = op_.attention.scale * kLog2E;
  float factor[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float maximum = sums.maximum[r];
#pragma unroll
    for (int n = 0; n < kScores; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int key = tile + n * 8 + lane_ % 4 * 2 + i;
        const bool seen = key <= position_[r] && key >= oldest_[r];
        float& score = scores[n][r * 2 + i];
        if constexpr (kCodes) score *= scale_of(shared_.scales[parity_of(tile)][0][key - tile]);
        score = seen ? score * scale : kNoScore;
        maximum = fmaxf(maximum, score);
      }
    }
    maximum = fmaxf(maximum, __shfl_xor_sync(~0u, maximum, 1));
    maximum = fmaxf(maximum, __shfl_xor_sync(~0u, maximum, 2));
    float added = 0.0f;
#pragma unroll
    for (int n = 0; n < kScores; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float& score = scores[n][r * 2 + i];
        score = weight_of(score, maximum);
        added += score;
      }
    }
    added += __shfl_xor_sync(~0u, added, 1);
    added += __shfl_xor_sync(~0u, added, 2);
    factor[r] = rescale(sums.maximum[r], maximum);
    sums.maximum[r] = maximum;
    sums.total[r] = fmaf(sums.total[r], factor[r], added);
  }
#pragma unroll
  for (int n = 0; n < kDim / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) sums.output[n][i] *= factor[i / 2];
  }
}

// Weights by the scales of their values; what lies beside a sequence's own scales is nobody's.
template <typename Page, int kDim, int kWarps>
__device__ void AttentionBlock<Page, kDim, kWarps>::scale_weights(float (&weights)[kScores][4],
                                                                  int tile) const {
#pragma unroll
  for (int n = 0; n < kScores; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int key = tile + n * 8 + lane_ % 4 * 2 + i % 2;
      const bool seen = key <= position_[i / 2] && key >= oldest_[i / 2];
      const float scale = scale_of(shared_.scales[parity_of(tile)][1][key - tile]);
      weights[n][i] = seen ? weights[n][i] * scale : 0.0f;
    }
  }
}

template <typename Page, int kDim, int kWarps>
__device__ void AttentionBlock<Page, kDim, kWarps>::multiply_values(
    const float (&weights)[kScores][4], AttentionSums<kDim>& sums) const {
  const int matrix = lane_ / 8;
#pragma unroll
  for (int k = 0; k < kAttentionTile / kInstructionK; ++k) {
    const uint32_t w[4] = {pack<T>(weights[2 * k][0], weights[2 * k][1]),
                           pack<T>(weights[2 * k][2], weights[2 * k][3]),
                           pack<T>(weights[2 * k + 1][0], weights[2 * k + 1][1]),
                           pack<T>(weights[2 * k + 1][2], weights[2 * k + 1][3])};
#pragma unroll
    for (int n = 0; n < kDim / 8; n += 2) {
      uint32_t values[4];
      load_matrices_transposed(values, &shared_.values()[k * kInstructionK + matrix % 2 * 8 +
                                                         lane_ % 8][n * 8 + matrix / 2 * 8]);
      multiply(sums.output[n], w, values[0], values[1], T{});
      multiply(sums.output[n + 1], w, values[2], values[3], T{});
    }
  }
}

// A split on top of those before it; a split that a row does not see changes nothing of the row.
template <typename Page, int kDim, int kWarps>
__device__ void AttentionBlock<Page, kDim, kWarps>::fold(const AttentionSums<kDim>& split) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (split.maximum[r] == kNoScore) continue;
    const bool first = maximum_[r] == kNoScore;
    const MergeFactors factors = merge_factors(maximum_[r], split.maximum[r]);
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
#pragma unroll
      for (int i = r * 2; i < r * 2 + 2; ++i) {
        float& before = shared_.merged[warp_][n][i][lane_];
        before = first ? split.output[n][i] : merged(before, split.output[n][i], factors);
      }
    }
    total_[r] = first ? split.total[r] : merged(total_[r], split.total[r], factors);
    maximum_[r] = factors.maximum;
  }
}

template <typename Page, int kDim, int kWarps>
__device__ void AttentionBlock<Page, kDim, kWarps>::store_partial(
    const QuireCudaAttentionItem& item, int kv_head, const AttentionSums<kDim>& split) const {
  const int head_dim = op_.kv.head_dim;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (row_[r] >= all_rows_) continue;
    float* partial = op_.attention.partials +
                     partial_row(item.partial, kv_head, row_[r], op_.kv.num_kv_heads, head_dim);
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int dim = n * 8 + lane_ % 4 * 2 + i;
        if (dim < head_dim) partial[dim] = split.output[n][r * 2 + i];
      }
    }
    if (lane_ % 4 == 0) {
      partial[head_dim] = split.maximum[r];
      partial[head_dim + 1] = split.total[r];
    }
  }
}

template <typename Page, int kDim, int kWarps>
__device__ void AttentionBlock<Page, kDim, kWarps>::store_output(const QuireCudaAttentionItem& item,
                                                                 int kv_head) const {
  const int head_dim = op_.kv.head_dim;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (row_[r] >= all_rows_) continue;
    const int64_t token = item.token_begin + token_of_row(row_[r], group_);
    const int head = kv_head * group_ + head_of_row(row_[r], group_);
    for (int n = 0; n < kDim / 8; ++n) {
      for (int i = 0; i < 2; ++i) {
        const int dim = n * 8 + lane_ % 4 * 2 + i;
        if (dim >= head_dim) continue;
        const float value = normalised(shared_.merged[warp_][n][r * 2 + i][lane_], total_[r]);
        const int64_t column = static_cast<int64_t>(head) * head_dim + dim;
        static_cast<float*>(op_.out.data)[token * op_.out.row_stride + column] = value;
        store_narrow(op_.narrow, token, column, value);
      }
    }
  }
}

// What is on its way when the first tile is taken.
template <typename Page, int kDim, int kWarps>
__device__ void AttentionBlock<Page, kDim, kWarps>::load_first(int tile) {
  if constexpr (kCodes) {
    shared_.template load<kThreads>(0, op_.kv, shared_.lines, parity_of(tile));
    shared_.template load<kThreads>(1, op_.kv, shared_.lines, parity_of(tile));
  } else {
    load_tile(shared_.keys, 0);
    load_tile(shared_.values(), op_.kv.part_bytes);
  }
}

template <typename Page, int kDim, int kWarps>
__device__ __forceinline__ void AttentionBlock<Page, kDim, kWarps>::take_numbers(
    const QuireCudaAttentionItem& item, int kv_head, int tile, bool more,
    AttentionSums<kDim>& sums) {
  float scores[kScores][4];
  wait_for_copies<1>();
  __syncthreads();
  multiply_keys(scores);
  __syncthreads();  // nobody reads these keys any more, and the values are on their way
  if (more) find_lines(item, kv_head, tile + kAttentionTile);
  __syncthreads();
  if (more) {
    load_tile(shared_.keys, 0);
  } else {
    commit_copies();
  }
  soften(scores, tile, sums);
  wait_for_copies<1>();
  __syncthreads();
  multiply_values(scores, sums);
  __syncthreads();
  if (more) {
    load_tile(shared_.values(), op_.kv.part_bytes);
  } else {
    commit_copies();
  }
}

// The same with codes, which make room for the next tile's as soon as they are numbers.
template <typename Page, int kDim, int kWarps>
__device__ __forceinline__ void AttentionBlock<Page, kDim, kWarps>::take_codes(
    const QuireCudaAttentionItem& item, int kv_head, int tile, bool more,
    AttentionSums<kDim>& sums) {
  const int next = tile + kAttentionTile;
  float scores[kScores][4];
  wait_for_copies<1>();
  __syncthreads();  // the keys' codes are there, and nobody reads the numbers of the values before
  shared_.template widen<kThreads>(0);
  if (more) find_lines(item, kv_head, next);
  __syncthreads();
  if (more) {
    shared_.template load<kThreads>(0, op_.kv, shared_.lines, parity_of(next));
  } else {
    commit_copies();
  }
  multiply_keys(scores);
  soften(scores, tile, sums);
  wait_for_copies<1>();
  __syncthreads();  // the values' codes are there, and nobody reads the numbers of the keys
  shared_.template widen<kThreads>(1);
  __syncthreads();
  if (more) {
    shared_.template load<kThreads>(1, op_.kv, shared_.lines, parity_of(next));
  } else {
    commit_copies();
  }
  scale_weights(scores, tile);
  multiply_values(scores, sums);
}

template <typename Page, int kDim, int kWarps>
__device__ void AttentionBlock<Page, kDim, kWarps>::run(const QuireCudaAttentionItem& item,
                                                        int kv_head) {
  const int window = op_.attention.window;
  all_rows_ = rows_of_chunk(item.num_tokens, group_);
  const int last_row = smaller(item.first_row + kWarps * kWarpRows, all_rows_) - 1;
  const int first = item.first_position + token_of_row(item.first_row, group_);
  const int last = item.first_position + token_of_row(last_row, group_);
  first_line_ = first_key(first, window);
  end_key_ = smaller(item.split_end * kSplitKeys, last + 1);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    row_[r] = item.first_row + warp_ * kWarpRows + lane_ / 4 + r * 8;
    position_[r] = item.first_position + token_of_row(smaller(row_[r], last_row), group_);
    oldest_[r] = first_key(position_[r], window);
    maximum_[r] = kNoScore;
    total_[r] = 0.0f;
  }
  int tile = keys_of_split(item.split_begin, first, last, window).begin;
  __syncthreads();  // the item before has left the shared memory
  load_queries(item, kv_head);
  find_lines(item, kv_head, tile);
  __syncthreads();
  load_first(tile);
  AttentionSums<kDim> sums;
  sums.clear();
  for (; tile < end_key_; tile += kAttentionTile) {
    const bool more = tile + kAttentionTile < end_key_;
    if constexpr (kCodes) {
      take_codes(item, kv_head, tile, more, sums);
    } else {
      take_numbers(item, kv_head, tile, more, sums);
    }
    if (item.partial >= 0) continue;  // one split: its sums are the result
    if (!more || (tile + kAttentionTile) % kSplitKeys == 0) {
      fold(sums);
      sums.clear();
    }
  }
  if (item.partial >= 0) {
    store_partial(item, kv_head, sums);
  } else {
    store_output(item, kv_head);
  }
}

// Blocks share out the items of their KV head.
template <typename Page, int kDim, int kWarps>
__global__ void __launch_bounds__(32 * kWarps) attention_kernel(QuireCudaOp op) {
  extern __shared__ __align__(128) unsigned char memory[];
  auto& shared = *reinterpret_cast<AttentionShared<Page, kDim, kWarps>*>(memory);
  AttentionBlock<Page, kDim, kWarps> block(op, shared);
  constexpr bool kDecode = kWarps == 1;
  const QuireCudaAttentionWork& work = op.attention;
  const int count = kDecode ? work.counts->decode_items : work.counts->tile_items;
  const QuireCudaAttentionItem* items = kDecode ? work.decode_items : work.tile_items;
  for (int i = blockIdx.x; i < count; i += gridDim.x) {
    block.run(items[i], static_cast<int>(blockIdx.y));
  }
}

template <typename Page, int kDim, int kWarps>
cudaError_t launch_attention_kernel(const QuireCudaOp& op, int32_t grid, cudaStream_t stream) {
  if (grid == 0) return cudaSuccess;
  const dim3 blocks(static_cast<unsigned>(grid), static_cast<unsigned>(op.kv.num_kv_heads));
  attention_kernel<Page, kDim, kWarps>
      <<<blocks, 32 * kWarps, sizeof(AttentionShared<Page, kDim, kWarps>), stream>>>(op);
  return cudaGetLastError();
}

template <typename Page, int kDim>
cudaError_t launch_attention_of(const QuireCudaOp& op, cudaStream_t stream) {
  const cudaError_t status =
      launch_attention_kernel<Page, kDim, 1>(op, op.attention.decode_grid, stream);
  if (status != cudaSuccess) return status;
  return launch_attention_kernel<Page, kDim, kTileWarps>(op, op.attention.tile_grid, stream);
}

template <typename Page>
cudaError_t launch_attention(const QuireCudaOp& op, cudaStream_t stream) {
  const int32_t head_dim = op.kv.head_dim;
  if (head_dim <= 64) return launch_attention_of<Page, 64>(op, stream);
  if (head_dim <= 96) return launch_attention_of<Page, 96>(op, stream);
  if (head_dim <= 128) return launch_attention_of<Page, 128>(op, stream);
  return launch_attention_of<Page, 256>(op, stream);
}

template <typename Page, int kDim, int kWarps>
cudaError_t allow_attention() {
  return cudaFuncSetAttribute(attention_kernel<Page, kDim, kWarps>,
                              cudaFuncAttributeMaxDynamicSharedMemorySize,
                              sizeof(AttentionShared<Page, kDim, kWarps>));
}

template <typename Page>
cudaError_t prepare_attention() {
  for (const cudaError_t status :
       {allow_attention<Page, 64, 1>(), allow_attention<Page, 64, kTileWarps>(),
        allow_attention<Page, 96, 1>(), allow_attention<Page, 96, kTileWarps>(),
        allow_attention<Page, 128, 1>(), allow_attention<Page, 128, kTileWarps>(),
        allow_attention<Page, 256, 1>()}) {
    if (status != cudaSuccess) return status;
  }
  // Not every GPU has 160 KiB: there the launch fails, in the daemon's first step.
  if (allow_attention<Page, 256, kTileWarps>() != cudaSuccess) (void)cudaGetLastError();
  return cudaSuccess;
}

}  // namespace quire::engine::cuda
