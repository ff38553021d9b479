#pragma once
// The inner loops of the CPU backend, as a table of functions per instruction set.
//
// Every kernel does the same arithmetic in the same order under AVX2 and under AVX-512 (and no
// std code is compiled for either: kernels_avx2.cpp says how), so the tables give the same bits.
// The drivers around them (linear.h, attention.h, cpu_backend.cpp) know no instruction set.
//
// Plain structs of arguments; pointers belong to the caller. Stateless and thread-safe.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/backend/backend.h"
#include "engine/backend/int8_format.h"
#include "engine/backend/split_format.h"

namespace quire::engine::cpu {

// --- matrix products --------------------------------------------------------------------------

inline constexpr std::int64_t kPanelColumns = 32;  // output features per panel of a packed weight
inline constexpr int kMaxTileRows = 32;            // of any kernel

// Words between the k's of a packed block of `rows` rows of x.
[[nodiscard]] constexpr int rows_as_they_are(int rows) { return rows; }
[[nodiscard]] constexpr int rows_of_tile(int) { return 16; }

// From this many rows on matrix tiles pay for int8, in spite of the scaling between its groups.
inline constexpr std::int64_t kManyRows = 64;

// Bytes of one k of a panel: 32 weights.
[[nodiscard]] constexpr std::int64_t line_bytes(DType dtype) {
  return kPanelColumns * dtype_bytes(dtype);
}

// One unit of a panel of bfloat16 pairs: 32 k's by 16 columns, [k / 2][column][k % 2], then the
// same of the other 16 columns.
inline constexpr std::int64_t kSplitUnitBytes = kPanelColumns * kSplitUnit * 2;

// One unit of an int8 panel: a group of k's by 32 columns in quads, [k / 4][column][k % 4], each
// weight + 128; then the columns' scales as a bfloat16 line.
inline constexpr int kInt8Quads = kInt8Group / 4;
inline constexpr std::int64_t kInt8UnitBytes = kPanelColumns * (kInt8Group + 2);
inline constexpr std::int64_t kInt8Words = kInt8Quads + 2;  // of x per group and row

// One block of rows by one panel, over `depth` units of k.
struct LinearTile {
  int rows = 0;
  const float* x = nullptr;      // [depth][unit_words][stride(rows)], 4 bytes each
  const std::byte* w = nullptr;  // [depth] units of the panel
  float* y = nullptr;            // [rows][y_stride]: partial sums, carried exactly between calls
  std::int64_t y_stride = 0;
  std::int64_t depth = 0;
  bool first = false;              // y starts at 0
  const float* bias = nullptr;     // not null: added to y after the last k
  float* widened = nullptr;        // the keeping kernels write the panel as float32 lines here
  const char* prefetch = nullptr;  // what the next tile reads, asked for along the way
  std::int64_t prefetch_step = 0;  // bytes per unit
};
using LinearKernel = void (*)(const LinearTile& tile);

// The product on one type of weight. k is cut into units: single k's, the groups of int8, or what
// a matrix tile takes.
struct LinearKernels {
  int max_rows = 0;             // of a tile
  std::int64_t unit = 1;        // k's
  std::int64_t unit_bytes = 0;  // of a panel
  std::int64_t unit_words = 1;  // of a packed row of x
  // A lone block of rows asks for what lies so many bytes ahead of it.
  std::int64_t lone_ahead = 0;
  int (*stride)(int rows) = rows_as_they_are;  // of a packed block of x
  bool paired = false;                      // weights lie in pairs of k, as matrix tiles read them
  LinearKernel run[kMaxTileRows + 1] = {};  // by rows of the tile
  // A lone block of rows, which is bound by memory more than others are. Null: run does.
  LinearKernel lone[kMaxTileRows + 1] = {};
  // From three row blocks on the first one keeps the widened panel as float32 lines and the others
  // read that. Null: nothing to widen.
  LinearKernel keep[kMaxTileRows + 1] = {};
  // For all blocks of rows but the first where there are many: the panel is in cache by then, and
  // little of the next one is left to ask for. Null: run does.
  LinearKernel again[kMaxTileRows + 1] = {};
  // rows of x (row_stride apart) to [units][unit_words][stride(rows)], words of 4 bytes.
  void (*pack_rows)(const float* x, std::int64_t row_stride, int rows, std::int64_t cols,
                    float* out) = nullptr;

  [[nodiscard]] constexpr std::int64_t units(std::int64_t cols) const {
    return (cols + unit - 1) / unit;
  }
};

// --- attention ----------------------------------------------------------------------------------

inline constexpr int kSubtile = 16;                    // keys whose K lies interleaved in a page
inline constexpr int kSubtiles = kKeyTile / kSubtile;  // of a softmax tile
inline constexpr int kMaxAttentionRows = 96;           // (token, head) pairs of one work item
inline constexpr int kMaxHeadDim = 1024;
inline constexpr int kTotalLanes = 16;  // partial sums of a softmax total

// Queries of one KV head against one tile of kKeyTile keys; the state carries from tile to tile.
struct AttentionTile {
  int rows = 0;
  int head_dim = 0;
  std::int64_t row_stride = 0;          // of q and out: head_dim rounded up to 16
  const float* q = nullptr;             // [rows], scaled
  float* out = nullptr;                 // [rows], weighted sum of the values so far
  float* maximum = nullptr;             // [rows]
  float* totals = nullptr;              // [rows][kTotalLanes]
  float* scores = nullptr;              // [rows][kKeyTile] scratch
  float* shrink = nullptr;              // [rows] scratch
  const std::int32_t* begin = nullptr;  // [rows] keys of this tile that the row sees: [begin, end)
  const std::int32_t* end = nullptr;
  // The union over the rows: only these keys' values need be there.
  std::int32_t all_begin = 0;
  std::int32_t all_end = 0;
  const std::byte* k[kSubtiles] = {};       // [head_dim][kSubtile] each
  const std::byte* v[kSubtiles] = {};       // [kSubtile][head_dim] each
  const std::byte* next_k[kSubtiles] = {};  // of the tile that comes next: asked for ahead
  // Of pages with scales (kv_format.h), else null: kSubtile bfloat16 each, also where k and v are
  // codes that were widened to float32.
  const std::byte* k_scale[kSubtiles] = {};
  const std::byte* v_scale[kSubtiles] = {};
};
using AttentionKernel = void (*)(const AttentionTile& tile);

// --- the table ----------------------------------------------------------------------------------

struct Kernels {
  std::string_view name;
  // By dtype: kFloat32, kFloat16, kBFloat16, kInt8.
  LinearKernels linear[4] = {};
  // int8 for kManyRows rows and more: the same bits from the same panels. max_rows 0: none.
  LinearKernels many_int8 = {};
  AttentionKernel attention[5] = {};  // and kFp8E4M3

  // out = x * factor + 0: no zero comes out negative
  void (*scale_head)(const float* x, float factor, std::int64_t size, float* out) = nullptr;
  // size elements of a file or a page, unaligned, to float32; by dtype. Codes of a page (int8, fp8)
  // become their numbers, without the scale.
  void (*widen[5])(const std::byte* source, std::int64_t size, float* out) = {};
  // A row of weights to int8: q [cols rounded up to groups], scales [groups].
  void (*quantise_weights)(const float* x, std::int64_t cols, signed char* q,
                           float* scales) = nullptr;
  void (*add)(float* residual, const float* delta, std::int64_t size) = nullptr;
  void (*rms_norm)(const float* x, const float* weight, float epsilon, std::int64_t size,
                   float* out) = nullptr;
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float epsilon,
                     std::int64_t size, float* out) = nullptr;
  void (*silu_and_mul)(const float* gate, const float* up, std::int64_t size, float* out) = nullptr;
  void (*gelu_tanh)(float* x, std::int64_t size) = nullptr;
};

[[nodiscard]] const Kernels& avx2_kernels();
[[nodiscard]] const Kernels& avx512_kernels();
// int8 through AVX-VNNI, for the place of AVX2's where the processor has it. The AVX-512 table's
// int8 needs AVX-512 VNNI; elsewhere AVX2's takes its place (cpu_backend.cpp chooses).
[[nodiscard]] LinearKernels avx_vnni_int8_kernels();
// bfloat16 on matrix tiles, for the place of AVX-512's: another arithmetic (split_format.h).
[[nodiscard]] LinearKernels amx_bfloat16_kernels();
// int8 on matrix tiles, for many rows: the same exact sums.
[[nodiscard]] LinearKernels amx_int8_kernels();

// Whether this processor and its operating system run them.
[[nodiscard]] bool has_avx2();
[[nodiscard]] bool has_avx512();
[[nodiscard]] bool has_avx_vnni();
[[nodiscard]] bool has_avx512_vnni();
// AMX for bfloat16 and int8. Asks the system to let this process use tiles.
[[nodiscard]] bool has_amx();

}  // namespace quire::engine::cpu
