// Attention over float32 pages, in float32: a warp computes one query row after another, lanes over
// keys for the scores and over dims for the outputs. The same items, splits and merges as the
// kernels with tensor cores (schedule.h, softmax.h). Made for being right, not for speed.

#include "engine/backend/cuda/kernels/launch.h"
#include "engine/backend/cuda/schedule.h"
#include "engine/backend/cuda/softmax.h"

namespace quire::engine::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kEach = kMaxHeadDim / 32;     // dims of a lane
constexpr int kKeys = kAttentionTile / 32;  // keys of a lane

// The sums of a row; a lane has dims lane, lane + 32, ...
struct RowSums {
  float output[kEach];
  float maximum;
  float total;

  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < kEach; ++i) output[i] = 0.0f;
    maximum = kNoScore;
    total = 0.0f;
  }
  __device__ void fold(const RowSums& split) {
    if (split.maximum == kNoScore) return;
    const bool first = maximum == kNoScore;
    const MergeFactors factors = merge_factors(maximum, split.maximum);
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      output[i] = first ? split.output[i] : merged(output[i], split.output[i], factors);
    }
    total = first ? split.total : merged(total, split.total, factors);
    maximum = factors.maximum;
  }
};

// A query row and where its keys lie.
struct Row {
  const QuireCudaOp* op;
  const float* query;  // in shared memory
  int block_begin;
  int kv_head;
  int position;
  int oldest;

  __device__ const float* key(int at) const {
    const QuireCudaKv& kv = op->kv;
    const int32_t block = op->attention.block_ids[block_begin + at / kv.block_size];
    return reinterpret_cast<const float*>(static_cast<const char*>(kv.pool) + kv.layer_offset +
                                          slot_offset(block, at % kv.block_size, kv_head,
                                                      kv.block_size, kv.head_dim, 4,
                                                      kv.page_bytes));
  }
  [[nodiscard]] __device__ bool sees(int at) const { return at >= oldest && at <= position; }
};

__device__ float score_of(const Row& row, int at) {
  if (!row.sees(at)) return kNoScore;
  const float* key = row.key(at);
  float sum = 0.0f;
  for (int d = 0; d < row.op->kv.head_dim; ++d) sum = fmaf(row.query[d], key[d], sum);
  return sum * (row.op->attention.scale * kLog2E);
}

__device__ float warp_sum(float value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(~0u, value, step);
  return value;
}

__device__ void take_tile(const Row& row, int tile, RowSums& sums) {
  const int lane = threadIdx.x % 32;
  const int64_t to_value = row.op->kv.part_bytes / 4;
  float weights[kKeys];
  float maximum = sums.maximum;
  for (int i = 0; i < kKeys; ++i) {
    weights[i] = score_of(row, tile + i * 32 + lane);
    maximum = fmaxf(maximum, weights[i]);
  }
  for (int step = 16; step > 0; step /= 2) {
    maximum = fmaxf(maximum, __shfl_xor_sync(~0u, maximum, step));
  }
  const float factor = rescale(sums.maximum, maximum);
  float added = 0.0f;
  for (int i = 0; i < kKeys; ++i) {
    weights[i] = weight_of(weights[i], maximum);
    added += weights[i];
  }
  sums.total = fmaf(sums.total, factor, warp_sum(added));
  sums.maximum = maximum;
#pragma unroll
  for (int i = 0; i < kEach; ++i) sums.output[i] *= factor;
  for (int k = 0; k < kAttentionTile; ++k) {
    const float weight = __shfl_sync(~0u, k < 32 ? weights[0] : weights[1], k % 32);
    if (!row.sees(tile + k)) continue;
    const float* value = row.key(tile + k) + to_value;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int dim = lane + i * 32;
      if (dim < row.op->kv.head_dim) sums.output[i] = fmaf(weight, value[dim], sums.output[i]);
    }
  }
}
static_assert(kKeys == 2);

__device__ void store_row(const QuireCudaOp& op, const RowSums& sums, float* out, bool partial) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int dim = lane + i * 32;
    if (dim >= op.kv.head_dim) continue;
    out[dim] = partial ? sums.output[i] : normalised(sums.output[i], sums.total);
  }
  if (partial && lane == 0) {
    out[op.kv.head_dim] = sums.maximum;
    out[op.kv.head_dim + 1] = sums.total;
  }
}

// One row of an item, by one warp.
__device__ void run_row(const QuireCudaOp& op, const QuireCudaAttentionItem& item, int kv_head,
                        int row_index, float* query) {
  const int group = op.attention.num_heads / op.kv.num_kv_heads;
  const int head_dim = op.kv.head_dim;
  const int64_t token = item.token_begin + token_of_row(row_index, group);
  const int64_t head = kv_head * group + head_of_row(row_index, group);
  const float* q = static_cast<const float*>(op.x.data) + token * op.x.row_stride + head * head_dim;
  __syncwarp();
  for (int d = threadIdx.x % 32; d < head_dim; d += 32) query[d] = q[d];
  __syncwarp();
  const int position = item.first_position + token_of_row(row_index, group);
  const Row row{.op = &op,
                .query = query,
                .block_begin = item.block_begin,
                .kv_head = kv_head,
                .position = position,
                .oldest = first_key(position, op.attention.window)};
  RowSums sums;
  RowSums split;
  sums.clear();
  split.clear();
  for (int s = item.split_begin; s < item.split_end; ++s) {
    const KeyRange keys = keys_of_split(s, position, position, op.attention.window);
    split.clear();
    for (int tile = keys.begin; tile < keys.end; tile += kAttentionTile) {
      take_tile(row, tile, split);
    }
    sums.fold(split);
  }
  if (item.partial >= 0) {
    store_row(op, split,
              op.attention.partials +
                  partial_row(item.partial, kv_head, row_index, op.kv.num_kv_heads, head_dim),
              true);
  } else {
    store_row(op, sums,
              static_cast<float*>(op.out.data) + token * op.out.row_stride + head * head_dim,
              false);
  }
}

__global__ void __launch_bounds__(32 * kWarps)
    float32_kernel(QuireCudaOp op, const QuireCudaAttentionItem* items, const int32_t* count,
                   int most_rows) {
  __shared__ float queries[kWarps][kMaxHeadDim];
  const int group = op.attention.num_heads / op.kv.num_kv_heads;
  const int warp = threadIdx.x / 32;
  for (int i = blockIdx.x; i < *count; i += gridDim.x) {
    const QuireCudaAttentionItem item = items[i];
    const int end = smaller(item.first_row + most_rows, rows_of_chunk(item.num_tokens, group));
    for (int row = item.first_row + warp; row < end; row += kWarps) {
      run_row(op, item, static_cast<int>(blockIdx.y), row, queries[warp]);
    }
  }
}

cudaError_t launch_items(const QuireCudaOp& op, const QuireCudaAttentionItem* items,
                         const int32_t* count, int most_rows, int32_t grid, cudaStream_t stream) {
  if (grid == 0) return cudaSuccess;
  const dim3 blocks(static_cast<unsigned>(grid), static_cast<unsigned>(op.kv.num_kv_heads));
  float32_kernel<<<blocks, 32 * kWarps, 0, stream>>>(op, items, count, most_rows);
  return cudaGetLastError();
}

}  // namespace

// The 16-bit copy beside the output is made by a conversion of its own (plugin.cu).
cudaError_t launch_attention_float32(const QuireCudaOp& op, cudaStream_t stream) {
  const QuireCudaAttentionWork& work = op.attention;
  const cudaError_t status = launch_items(op, work.decode_items, &work.counts->decode_items,
                                          kWarpRows, work.decode_grid, stream);
  if (status != cudaSuccess) return status;
  return launch_items(op, work.tile_items, &work.counts->tile_items, kWarpRows * kTileWarps,
                      work.tile_grid, stream);
}

}  // namespace quire::engine::cuda
