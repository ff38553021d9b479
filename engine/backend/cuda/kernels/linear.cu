// Products with weights of 16 bits, as schedule.h says: the weight is the instruction's first
// operand for any number of rows, and an element's sum is the same chain of instructions in both
// kernels and under both ways of sharing out the slices.

#include "engine/backend/cuda/kernels/half_types.cuh"
#include "engine/backend/cuda/kernels/launch.h"
#include "engine/backend/cuda/schedule.h"

namespace quire::engine::cuda {
namespace {

// What a kernel needs of an op.
struct Product {
  const void* weight;
  const void* x;
  const float* bias;
  float* out;  // [rows, out_stride]; or of slices apart: [slice][rows][n]
  int64_t n;
  int64_t k;
  int64_t rows;
  int64_t weight_stride;
  int64_t x_stride;
  int64_t out_stride;
};

__device__ int64_t at_most(int64_t value, int64_t last) { return value < last ? value : last; }

__device__ float with_bias(const Product& p, int64_t column, float sum) {
  return p.bias == nullptr ? sum : sum + p.bias[column];
}

// The two instructions of 32 values of k: `low` and `high` are 8 of them of rows g and g + 8 of the
// weight, `x` the same 8 of a token.
template <typename T>
__device__ void multiply_pair(float (&sum)[4], const uint4& low, const uint4& high,
                              const uint4& x) {
  const uint32_t first[4] = {low.x, high.x, low.y, high.y};
  const uint32_t second[4] = {low.z, high.z, low.w, high.w};
  multiply(sum, first, x.x, x.y, T{});
  multiply(sum, second, x.z, x.w, T{});
}

// --- few rows: each warp streams its slice of 16 rows of the weight through registers ------------

template <typename T, int kTokens>
__global__ void __launch_bounds__(32 * kMaxSlices) stream_kernel(Product p) {
  constexpr int kTiles = kTokens / kInstructionM;
  __shared__ float partial[kMaxSlices][kInstructionN][kTokens];
  const int warp = threadIdx.x / 32;
  const int group = threadIdx.x % 32 / 4;
  const int member = threadIdx.x % 4;
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kInstructionN;
  const auto* weight = static_cast<const T*>(p.weight);
  const T* low = weight + at_most(first_row + group, p.n - 1) * p.weight_stride + member * 8;
  const T* high = weight + at_most(first_row + group + 8, p.n - 1) * p.weight_stride + member * 8;
  const T* tokens[kTiles];
  float sums[kTiles][4] = {};
  for (int j = 0; j < kTiles; ++j) {
    tokens[j] = static_cast<const T*>(p.x) +
                at_most(j * kInstructionM + group, p.rows - 1) * p.x_stride + member * 8;
  }
  const KRange range = k_slice(p.k, warp);
#pragma unroll 4
  for (int64_t k = range.begin; k < range.end; k += kLineK) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t at = k + half * 32;
      const uint4 a = __ldcs(reinterpret_cast<const uint4*>(low + at));
      const uint4 b = __ldcs(reinterpret_cast<const uint4*>(high + at));
#pragma unroll
      for (int j = 0; j < kTiles; ++j) {
        const uint4 x = __ldg(reinterpret_cast<const uint4*>(tokens[j] + at));
        multiply_pair<T>(sums[j], a, b, x);
      }
    }
  }
#pragma unroll
  for (int j = 0; j < kTiles; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      partial[warp][group + i / 2 * 8][j * kInstructionM + member * 2 + i % 2] = sums[j][i];
    }
  }
  __syncthreads();
  const int slices = num_slices(p.k);
  for (int i = threadIdx.x; i < kInstructionN * kTokens; i += blockDim.x) {
    const int row = i % kInstructionN;
    const int token = i / kInstructionN;
    if (first_row + row >= p.n || token >= p.rows) continue;
    float total = partial[0][row][token];
    for (int s = 1; s < slices; ++s) total += partial[s][row][token];
    p.out[token * p.out_stride + first_row + row] = with_bias(p, first_row + row, total);
  }
}

// --- more rows: 128 rows of the weight by kTokens tokens through shared memory -------------------

constexpr int kStages = 3;

// Threads of a block: warps 4 deep over the weight's rows, each with 16 or 32 tokens.
template <int kTokens>
constexpr int kWarpTokens = kTokens == 32 ? 16 : 32;
template <int kTokens>
constexpr int kTileThreads = 4 * (kTokens / kWarpTokens<kTokens>)*32;

template <int kTokens>
constexpr int kStageBytes = (kTileN + kTokens) * kLineK * 2;

// What a thread loads of a tile: the same 16 bytes of a line of every kThreads / 8-th row.
template <typename T, int kTokens>
struct TileLoader {
  static constexpr int kRows = kTileThreads<kTokens> / 8;  // at a time
  const T* weight;
  const T* x;
  int64_t weight_step;
  int64_t x_step;
  int weight_rows;  // that exist, from this thread's first on
  int x_rows;
  int place;  // of the first, in a stage

  __device__ TileLoader(const Product& p, int64_t first_row, int64_t first_token, int64_t k) {
    const int row = threadIdx.x / 8;
    const int piece = threadIdx.x % 8;
    weight = static_cast<const T*>(p.weight) + (first_row + row) * p.weight_stride + k + piece * 8;
    x = static_cast<const T*>(p.x) + (first_token + row) * p.x_stride + k + piece * 8;
    weight_step = kRows * p.weight_stride;
    x_step = kRows * p.x_stride;
    weight_rows = static_cast<int>(at_most(p.n - first_row, kTileN)) - row;
    x_rows = static_cast<int>(at_most(p.rows - first_token, kTokens)) - row;
    place = row * kLineK + line_piece(row, piece) * 8;
  }

  // The next line into `stage`; rows that do not exist are zeros.
  __device__ void load(T* stage) {
    static_assert(kRows % 2 == 0 && kTileN % kRows == 0 && kTokens % kRows == 0);
#pragma unroll
    for (int i = 0; i < kTileN / kRows; ++i) {
      copy_later(stage + place + i * kRows * kLineK, weight + i * weight_step,
                 i * kRows < weight_rows);
    }
#pragma unroll
    for (int i = 0; i < kTokens / kRows; ++i) {
      copy_later(stage + place + (kTileN + i * kRows) * kLineK, x + i * x_step, i * kRows < x_rows);
    }
    weight += kLineK;
    x += kLineK;
  }
};

// 8 values of k of a row in shared memory.
template <typename T>
__device__ uint4 piece_of(const T* stage, int row, int piece) {
  return *reinterpret_cast<const uint4*>(stage + row * kLineK + line_piece(row, piece) * 8);
}

// A warp's part of a tile: 32 rows of the weight by kWarpTokens tokens.
template <int kTokens>
struct WarpTile {
  static constexpr int kTiles = kWarpTokens<kTokens> / kInstructionM;
  float sums[2][kTiles][4];

  __device__ void clear() {
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int j = 0; j < kTiles; ++j) {
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[m][j][i] = 0.0f;
      }
    }
  }
  __device__ void add(const WarpTile& other, bool first) {
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int j = 0; j < kTiles; ++j) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          sums[m][j][i] = first ? other.sums[m][j][i] : sums[m][j][i] + other.sums[m][j][i];
        }
      }
    }
  }
};

template <typename T, int kTokens>
__device__ void multiply_line(const T* stage, int warp_row, int warp_token,
                              WarpTile<kTokens>& tile) {
  const int group = threadIdx.x % 32 / 4;
  const int member = threadIdx.x % 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int piece = half * 4 + member;
    uint4 rows[2][2];
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      rows[m][0] = piece_of(stage, warp_row + m * 16 + group, piece);
      rows[m][1] = piece_of(stage, warp_row + m * 16 + group + 8, piece);
    }
#pragma unroll
    for (int j = 0; j < WarpTile<kTokens>::kTiles; ++j) {
      const uint4 x = piece_of(stage, kTileN + warp_token + j * 8 + group, piece);
#pragma unroll
      for (int m = 0; m < 2; ++m) multiply_pair<T>(tile.sums[m][j], rows[m][0], rows[m][1], x);
    }
  }
}

template <int kTokens>
__device__ void store_tile(const Product& p, const WarpTile<kTokens>& tile, int64_t first_row,
                           int64_t first_token, bool apart) {
  const int group = threadIdx.x % 32 / 4;
  const int member = threadIdx.x % 4;
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int j = 0; j < WarpTile<kTokens>::kTiles; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int64_t row = first_row + m * 16 + group + i / 2 * 8;
        const int64_t token = first_token + j * 8 + member * 2 + i % 2;
        if (row >= p.n || token >= p.rows) continue;
        if (apart) {
          p.out[(blockIdx.y * p.rows + token) * p.n + row] = tile.sums[m][j][i];
        } else {
          p.out[token * p.out_stride + row] = with_bias(p, row, tile.sums[m][j][i]);
        }
      }
    }
  }
}

// `apart`: this block computes slice blockIdx.y alone, into the workspace.
template <typename T, int kTokens>
__global__ void __launch_bounds__(kTileThreads<kTokens>) tile_kernel(Product p, bool apart) {
  extern __shared__ __align__(128) unsigned char memory[];
  auto* stages = reinterpret_cast<T*>(memory);
  constexpr int kStage = kStageBytes<kTokens> / 2;
  const int64_t token_tiles = ceil_div(p.rows, kTokens);
  const int64_t first_token = blockIdx.x % token_tiles * kTokens;
  const int64_t first_row = blockIdx.x / token_tiles * kTileN;
  const int warp = threadIdx.x / 32;
  const int warp_row = warp % 4 * 32;
  const int warp_token = warp / 4 * kWarpTokens<kTokens>;
  const int64_t begin = apart ? k_slice(p.k, static_cast<int32_t>(blockIdx.y)).begin : 0;
  const int64_t end = apart ? k_slice(p.k, static_cast<int32_t>(blockIdx.y)).end : padded_k(p.k);
  const int lines = static_cast<int>((end - begin) / kLineK);
  const int lines_of_slice = static_cast<int>(slice_lines(p.k));

  TileLoader<T, kTokens> loader(p, first_row, first_token, begin);
  for (int s = 0; s < kStages - 1; ++s) {
    if (s < lines) loader.load(stages + s * kStage);
    commit_copies();
  }
  WarpTile<kTokens> total;
  WarpTile<kTokens> slice;
  slice.clear();
  for (int line = 0; line < lines; ++line) {
    wait_for_copies<kStages - 2>();
    __syncthreads();  // the line is there for all, and the stage loaded next is read by none
    const int next = line + kStages - 1;
    if (next < lines) {
      loader.load(stages + next % kStages * kStage);
    }
    commit_copies();
    multiply_line<T, kTokens>(stages + line % kStages * kStage, warp_row, warp_token, slice);
    if ((line + 1) % lines_of_slice == 0 || line + 1 == lines) {
      total.add(slice, line < lines_of_slice);
      slice.clear();
    }
  }
  store_tile<kTokens>(p, total, first_row + warp_row, first_token + warp_token, apart);
}

// The slices of each element, in order.
__global__ void merge_kernel(Product p, const float* partial) {
  const int slices = num_slices(p.k);
  const int64_t outputs = p.rows * p.n;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < outputs;
       i += step) {
    float total = partial[i];
    for (int s = 1; s < slices; ++s) total += partial[s * outputs + i];
    p.out[i / p.n * p.out_stride + i % p.n] = with_bias(p, i % p.n, total);
  }
}

template <typename T, int kTokens>
cudaError_t launch_tile(Product p, const LinearPlan& plan, float* workspace, cudaStream_t stream) {
  const bool apart = plan.path == LinearPath::kTileSlices;
  const dim3 grid(static_cast<unsigned>(plan.blocks), apart ? num_slices(p.k) : 1);
  Product part = p;
  if (apart) part.out = workspace;
  tile_kernel<T, kTokens>
      <<<grid, kTileThreads<kTokens>, kStages * kStageBytes<kTokens>, stream>>>(part, apart);
  if (apart) {
    const auto blocks = static_cast<unsigned>(ceil_div(p.rows * p.n, 1024));
    merge_kernel<<<blocks, 256, 0, stream>>>(p, workspace);
  }
  return cudaGetLastError();
}

template <typename T>
cudaError_t launch_product(const Product& p, const LinearPlan& plan, float* workspace,
                           cudaStream_t stream) {
  if (plan.path == LinearPath::kStream) {
    const auto blocks = static_cast<unsigned>(plan.blocks);
    const int threads = 32 * num_slices(p.k);
    if (plan.token_tile == kInstructionM) {
      stream_kernel<T, kInstructionM><<<blocks, threads, 0, stream>>>(p);
    } else {
      stream_kernel<T, kStreamTokens><<<blocks, threads, 0, stream>>>(p);
    }
    return cudaGetLastError();
  }
  if (plan.token_tile == 32) return launch_tile<T, 32>(p, plan, workspace, stream);
  if (plan.token_tile == 64) return launch_tile<T, 64>(p, plan, workspace, stream);
  return launch_tile<T, 128>(p, plan, workspace, stream);
}

template <typename T, int kTokens>
cudaError_t allow_shared_memory() {
  return cudaFuncSetAttribute(tile_kernel<T, kTokens>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              kStages * kStageBytes<kTokens>);
}

}  // namespace

cudaError_t prepare_linear() {
  for (const cudaError_t status :
       {allow_shared_memory<__half, 32>(), allow_shared_memory<__half, 64>(),
        allow_shared_memory<__half, 128>(), allow_shared_memory<__nv_bfloat16, 32>(),
        allow_shared_memory<__nv_bfloat16, 64>(), allow_shared_memory<__nv_bfloat16, 128>()}) {
    if (status != cudaSuccess) return status;
  }
  return cudaSuccess;
}

cudaError_t launch_linear(const QuireCudaOp& op, cudaStream_t stream) {
  const Product p{.weight = op.weight.data,
                  .x = op.narrow.data,
                  .bias = op.vector,
                  .out = static_cast<float*>(op.out.data),
                  .n = op.weight.rows,
                  .k = op.weight.cols,
                  .rows = op.out.rows,
                  .weight_stride = op.weight.row_stride,
                  .x_stride = op.narrow.row_stride,
                  .out_stride = op.out.row_stride};
  const LinearPlan plan = plan_linear(p.rows, p.n, p.k, op.workspace_bytes);
  if (op.weight.type == kQuireCudaFloat16) {
    return launch_product<__half>(p, plan, op.workspace, stream);
  }
  return launch_product<__nv_bfloat16>(p, plan, op.workspace, stream);
}

}  // namespace quire::engine::cuda
