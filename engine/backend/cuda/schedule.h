#pragma once
// The schedules of the CUDA kernels: who computes what, in which order. Pure index arithmetic,
// compiled for the device and for the host alike, where tests walk it element by element.
//
// Products: out[m][n] = sum over k of weight[n][k] * x[m][k]. The weight is always the
// instruction's first operand (16 of its rows) and tokens its second (8 of them), whatever the
// number of rows. K is cut into slices, a function of K alone. A slice is one chain of instructions
// from +0, each of which takes kInstructionK values of k; slices are added in order, then the bias.
// Which threads compute a slice depends on the number of rows (LinearPlan); the arithmetic does
// not.
//
// Attention: keys are cut into splits of kSplitKeys positions counted from 0, splits into tiles of
// kAttentionTile. A split is one online softmax over its tiles; splits are merged in order. Rows of
// an instruction are (token, query head of the group) pairs, so that one load of keys and values
// serves the group.

#include <stdint.h>

#ifdef __CUDACC__
#define QUIRE_HOST_DEVICE __host__ __device__
#else
#define QUIRE_HOST_DEVICE
#endif

namespace quire::engine::cuda {

QUIRE_HOST_DEVICE constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
QUIRE_HOST_DEVICE constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
QUIRE_HOST_DEVICE constexpr int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }
QUIRE_HOST_DEVICE constexpr int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

// --- products ----------------------------------------------------------------------------------

inline constexpr int32_t kInstructionN = 16;  // rows of the weight
inline constexpr int32_t kInstructionM = 8;   // tokens
inline constexpr int32_t kInstructionK = 16;
inline constexpr int32_t kLineK = 64;  // values of k in a line of 128 bytes
inline constexpr int32_t kMaxSlices = 8;
inline constexpr int32_t kStreamTokens = 16;  // up to so many rows: weights straight to registers
inline constexpr int32_t kTileN = 128;        // rows of the weight per block of threads otherwise
inline constexpr int32_t kFullGrid = 132;     // blocks that fill a large GPU

// Rows of weights and of narrow activations are this long, with zeros at the end.
QUIRE_HOST_DEVICE constexpr int64_t padded_k(int64_t k) { return round_up(k, kLineK); }

// Lines of a slice; the last slice may have fewer, and none is empty.
QUIRE_HOST_DEVICE constexpr int64_t slice_lines(int64_t k) {
  const int64_t lines = padded_k(k) / kLineK;
  return ceil_div(lines, lines >= 32 ? kMaxSlices : lines >= 16 ? 4 : lines >= 8 ? 2 : 1);
}
QUIRE_HOST_DEVICE constexpr int32_t num_slices(int64_t k) {
  return static_cast<int32_t>(ceil_div(padded_k(k) / kLineK, slice_lines(k)));
}

struct KRange {
  int64_t begin;
  int64_t end;
};

QUIRE_HOST_DEVICE constexpr KRange k_slice(int64_t k, int32_t s) {
  const int64_t lines = padded_k(k) / kLineK;
  const int64_t begin = s * slice_lines(k);
  const int64_t end = begin + slice_lines(k);
  return {begin * kLineK, (end < lines ? end : lines) * kLineK};
}

// A thread loads 8 neighbouring values of k (16 bytes) at a time: quad member t takes 8 t .. 8 t +
// 7 of 32, which feed two instructions. Value i (0 to 3) of instruction `half` in member t is here:
QUIRE_HOST_DEVICE constexpr int32_t fragment_k(int32_t half, int32_t t, int32_t i) {
  return t * 8 + half * 4 + i;
}

// A line in shared memory is 8 pieces of 16 bytes; neighbouring rows have them in different halves,
// so that the two rows that one phase of a load touches share no bank.
QUIRE_HOST_DEVICE constexpr int32_t line_piece(int32_t row, int32_t piece) {
  return piece ^ ((row & 1) << 2);
}

enum class LinearPath : int32_t { kStream, kTileWalk, kTileSlices };

struct LinearPlan {
  LinearPath path;
  int32_t token_tile;  // tokens per block of threads
  int32_t n_tile;      // rows of the weight per block of threads
  int64_t blocks;      // without the slices
  int64_t workspace;   // bytes
};

QUIRE_HOST_DEVICE constexpr LinearPlan plan_linear(int64_t rows, int64_t n, int64_t k,
                                                   int64_t workspace_bytes) {
  if (rows <= kStreamTokens) {
    const int32_t tile = rows <= kInstructionM ? kInstructionM : kStreamTokens;
    return {LinearPath::kStream, tile, kInstructionN, ceil_div(n, kInstructionN), 0};
  }
  const int32_t tile = rows <= 32 ? 32 : rows <= 64 ? 64 : 128;
  const int64_t blocks = ceil_div(n, kTileN) * ceil_div(rows, tile);
  const int64_t needed = num_slices(k) * rows * n * 4;
  const bool apart = num_slices(k) > 1 && blocks < kFullGrid && needed <= workspace_bytes;
  return {apart ? LinearPath::kTileSlices : LinearPath::kTileWalk, tile, kTileN, blocks,
          apart ? needed : 0};
}

// --- attention ---------------------------------------------------------------------------------

inline constexpr int32_t kAttentionTile = 64;  // keys; equal to kKeyTile of the seam
inline constexpr int32_t kSplitKeys = 512;     // a multiple of kAttentionTile
inline constexpr int32_t kWarpRows = 16;       // query rows of one warp
inline constexpr int32_t kTileWarps = 4;       // of an item of a prompt
inline constexpr int32_t kPartialRows = kWarpRows;
inline constexpr int32_t kMaxHeadDim = 256;

// Query rows of a chunk under one KV head, and what row `row` is.
QUIRE_HOST_DEVICE constexpr int32_t rows_of_chunk(int32_t num_tokens, int32_t group) {
  return num_tokens * group;
}
QUIRE_HOST_DEVICE constexpr int32_t token_of_row(int32_t row, int32_t group) { return row / group; }
QUIRE_HOST_DEVICE constexpr int32_t head_of_row(int32_t row, int32_t group) { return row % group; }

// The first position that a query sees.
QUIRE_HOST_DEVICE constexpr int32_t first_key(int32_t position, int32_t window) {
  return window > 0 && position >= window ? position - window + 1 : 0;
}
QUIRE_HOST_DEVICE constexpr int32_t split_of(int32_t position) { return position / kSplitKeys; }

// The tiles of split `split` that queries of positions [first, last] may see: [begin, end) in keys,
// begin a multiple of kAttentionTile.
struct KeyRange {
  int32_t begin;
  int32_t end;
};
QUIRE_HOST_DEVICE constexpr KeyRange keys_of_split(int32_t split, int32_t first, int32_t last,
                                                   int32_t window) {
  const int32_t oldest = first_key(first, window) / kAttentionTile * kAttentionTile;
  return {larger(split * kSplitKeys, oldest), smaller((split + 1) * kSplitKeys, last + 1)};
}

// Where a key (or value) lies: bytes from the layer's part in the pool.
QUIRE_HOST_DEVICE constexpr int64_t slot_offset(int32_t block, int32_t slot, int32_t kv_head,
                                                int32_t block_size, int32_t head_dim,
                                                int32_t element_bytes, int64_t page_bytes) {
  return block * page_bytes +
         (static_cast<int64_t>(kv_head) * block_size + slot) * head_dim * element_bytes;
}

// The same for the scale of its codes, after the tiles of all heads.
QUIRE_HOST_DEVICE constexpr int64_t slot_scale_offset(int32_t block, int32_t slot, int32_t kv_head,
                                                      int32_t block_size, int32_t num_kv_heads,
                                                      int32_t head_dim, int64_t page_bytes) {
  return block * page_bytes + static_cast<int64_t>(block_size) * num_kv_heads * head_dim +
         (static_cast<int64_t>(kv_head) * block_size + slot) * 2;
}

// Partial results: [slot][kv_head][row of the item][head_dim + 2]: output, maximum, total.
QUIRE_HOST_DEVICE constexpr int64_t partial_floats(int32_t num_kv_heads, int32_t head_dim) {
  return static_cast<int64_t>(num_kv_heads) * kPartialRows * (head_dim + 2);
}
QUIRE_HOST_DEVICE constexpr int64_t partial_row(int32_t slot, int32_t kv_head, int32_t row,
                                                int32_t num_kv_heads, int32_t head_dim) {
  return ((static_cast<int64_t>(slot) * num_kv_heads + kv_head) * kPartialRows + row) *
         (head_dim + 2);
}

}  // namespace quire::engine::cuda
