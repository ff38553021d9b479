#pragma once
// Tiles of int8 and fp8 pages in shared memory: codes as they lie in the page, and the numbers that
// the tensor cores take. All codes are exact in bfloat16, the type of the arithmetic.
//
// One tile of numbers serves the keys, then the values: codes of the next one are on their way
// while numbers are in use. Scales come with the codes, into the half of a pair that the tile's
// parity names: those of the tile before are still read.

#include "engine/backend/cuda/kernels/half_types.cuh"
#include "engine/backend/cuda/page_codes.h"
#include "engine/backend/cuda/schedule.h"

namespace quire::engine::cuda {

struct Int8Codes {
  __device__ static float number(uint32_t code) { return int8_number_of(code); }
};
struct Fp8Codes {
  __device__ static float number(uint32_t code) { return fp8_number_of(code); }
};

// What a page's elements are computed in.
template <typename Page>
struct PageFormat {
  using Number = Page;
  static constexpr bool kCodes = false;
};
template <>
struct PageFormat<Int8Codes> {
  using Number = __nv_bfloat16;
  static constexpr bool kCodes = true;
};
template <>
struct PageFormat<Fp8Codes> {
  using Number = __nv_bfloat16;
  static constexpr bool kCodes = true;
};

template <typename Page, int kDim, bool kCodes = PageFormat<Page>::kCodes>
struct AttentionTiles {
  static constexpr int kLine = kDim + 8;  // elements
  Page keys[kAttentionTile][kLine];
  Page value_lines[kAttentionTile][kLine];
  __device__ auto* values() { return value_lines; }
};

template <typename Page, int kDim>
struct AttentionTiles<Page, kDim, true> {
  static constexpr int kLine = kDim + 8;
  static constexpr int kScales = 8;  // in 16 bytes
  using Number = typename PageFormat<Page>::Number;

  Number keys[kAttentionTile][kLine];  // or values
  uint8_t codes[2][kAttentionTile][kDim];
  uint16_t scales[2][2][kAttentionTile];          // [parity][keys, values][key]
  int64_t scale_lines[kAttentionTile / kScales];  // where they lie, from the layer's part; -1: none
  __device__ auto* values() { return keys; }

  // The tile's codes of keys (0) or values (1), kBytes at a time.
  template <int kBytes, int kThreads>
  __device__ void copy_codes(int which, const char* part, const int64_t* lines, int head_dim) {
    constexpr int kPieces = kDim / kBytes;
    for (int i = threadIdx.x; i < kAttentionTile * kPieces; i += kThreads) {
      const int64_t line = lines[i / kPieces];
      const int at = i % kPieces * kBytes;
      const bool exists = line >= 0 && at < head_dim;
      copy_bytes_later<kBytes>(&codes[which][i / kPieces][at], exists ? part + line + at : part,
                               exists);
    }
  }

  // Codes and scales of a tile as one group of copies.
  template <int kThreads>
  __device__ void load(int which, const QuireCudaKv& kv, const int64_t* lines, int parity) {
    const char* part = static_cast<const char*>(kv.pool) + kv.layer_offset + which * kv.part_bytes;
    if (kv.head_dim % 16 == 0) {
      copy_codes<16, kThreads>(which, part, lines, kv.head_dim);
    } else {
      copy_codes<8, kThreads>(which, part, lines, kv.head_dim);
    }
    if (threadIdx.x < kAttentionTile / kScales) {
      const int64_t line = scale_lines[threadIdx.x];
      copy_bytes_later<16>(&scales[parity][which][threadIdx.x * kScales],
                           line >= 0 ? part + line : part, line >= 0);
    }
    commit_copies();
  }

  // The codes of keys or values to numbers.
  template <int kThreads>
  __device__ void widen(int which) {
    constexpr int kPieces = kDim / 8;
    for (int i = threadIdx.x; i < kAttentionTile * kPieces; i += kThreads) {
      const int at = i % kPieces * 8;
      const uint2 eight = *reinterpret_cast<const uint2*>(&codes[which][i / kPieces][at]);
      const uint32_t four[2] = {eight.x, eight.y};
      uint32_t numbers[4];
#pragma unroll
      for (int pair = 0; pair < 4; ++pair) {
        const uint32_t two = four[pair / 2] >> (pair % 2 * 16);
        numbers[pair] = pack<Number>(Page::number(two & 0xffu), Page::number(two >> 8 & 0xffu));
      }
      *reinterpret_cast<uint4*>(&keys[i / kPieces][at]) =
          make_uint4(numbers[0], numbers[1], numbers[2], numbers[3]);
    }
  }
};

}  // namespace quire::engine::cuda
