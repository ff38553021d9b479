#include "engine/backend/cpu/linear.h"

#include <algorithm>

namespace quire::engine::cpu {
namespace {

constexpr std::int64_t kWord = 4;                 // bytes of a float, of four int8
constexpr std::int64_t kCache = 768 << 10;        // bytes of packed x that may rest in L2
constexpr std::int64_t kSharedWork = 1 << 17;     // multiply-adds worth waking the threads for
constexpr std::int64_t kSharedPacking = 1 << 14;  // elements of x
// From this many row blocks on the first one keeps the widened panel for the others.
constexpr std::int64_t kKeepFrom = 3;

// From this many on the others leave most asking ahead to the first: their share of the next panel
// is at most a line per two quads of an int8 unit.
constexpr std::int64_t kAgainFrom = 5;

std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

std::int64_t divide_up(std::int64_t value, std::int64_t by) { return (value + by - 1) / by; }

// Asks for the rows of y that the next tile continues.
void prefetch_rows(const float* y, std::int64_t stride, std::int64_t rows) {
  for (std::int64_t r = 0; r < rows; ++r) {
    __builtin_prefetch(y + r * stride, 1);
    __builtin_prefetch(y + r * stride + 16, 1);
  }
}

// Words of a packed block of x, of as many rows as a tile takes.
std::int64_t words_of_block(const LinearKernels& kernels, std::int64_t cols) {
  return kernels.units(cols) * kernels.unit_words * kernels.stride(kernels.max_rows);
}

}  // namespace

void Linear::reserve(std::int64_t max_features) {
  max_features_ = max_features;
  std::int64_t words = 0;
  const auto make_room = [&](const LinearKernels& kernels) {
    if (kernels.max_rows == 0) return;
    const std::int64_t blocks = divide_up(kGroupRows, kernels.max_rows);
    words = std::max(words, blocks * words_of_block(kernels, max_features));
  };
  for (const LinearKernels& kernels : kernels_.linear) make_room(kernels);
  make_room(kernels_.many_int8);
  packed_ = HostMemory(words * kWord);
  scratch_ = HostMemory(pool_.num_threads() * (kDepth + 16 + kGroupRows) * kPanelColumns * kWord);
}

std::int64_t Linear::Job::depth_at(std::int64_t depth_block) const {
  return std::min(depth_block * depth, weight.num_units());
}

void Linear::run(TensorView x, const PackedWeight& weight, const float* bias, TensorView out) {
  CHECK_EQ(x.cols, weight.cols());
  CHECK_EQ(out.cols, weight.rows());
  CHECK_EQ(out.rows, x.rows);
  CHECK_LE(x.cols, max_features_);
  const std::int64_t groups = divide_up(x.rows, kGroupRows);
  for (std::int64_t group = 0; group < groups; ++group) {
    const std::int64_t begin = x.rows * group / groups;
    const std::int64_t end = x.rows * (group + 1) / groups;
    TensorView some_x = x.head(end - begin);
    TensorView some_out = out.head(end - begin);
    some_x.data = x.row(begin);
    some_out.data = out.row(begin);
    run_group(plan(some_x, weight, bias, some_out));
  }
}

Linear::Job Linear::plan(TensorView x, const PackedWeight& weight, const float* bias,
                         TensorView out) const {
  const bool many =
      weight.dtype() == DType::kInt8 && x.rows >= kManyRows && kernels_.many_int8.max_rows > 0;
  const LinearKernels& kernels =
      many ? kernels_.many_int8 : kernels_.linear[static_cast<int>(weight.dtype())];
  Job job{.x = x, .weight = weight, .kernels = kernels, .bias = bias, .out = out};
  job.num_blocks = divide_up(x.rows, kernels.max_rows);
  job.num_depths = divide_up(weight.cols(), kDepth);
  const std::int64_t depth = divide_up(weight.num_units(), job.num_depths);
  job.depth = kernels.unit == 1 ? round_up(depth, 16) : depth;
  job.num_depths = divide_up(weight.num_units(), job.depth);
  job.block_words = words_of_block(kernels, weight.cols());
  return job;
}

void Linear::run_group(const Job& job) {
  if (job.x.rows > 1 || job.kernels.unit > 1) pack(job);
  const std::int64_t panels = job.weight.num_panels();
  const bool shared = job.x.rows * job.weight.rows() * job.weight.cols() >= kSharedWork;
  // While all of x fits, a panel is finished at once; else all panels take one block of k in turn.
  const bool depth_outside =
      job.x.rows * job.weight.num_units() * job.kernels.unit_words * kWord > kCache;
  const std::int64_t per_pass = depth_outside ? 1 : job.num_depths;
  for (std::int64_t begin = 0; begin < job.num_depths; begin += per_pass) {
    pool_.run_if(shared, panels,
                 [&](const WorkItem& item) { run_panel(job, item, begin, begin + per_pass); });
  }
}

// A lone block is packed in parts of k, so that no thread waits for another.
void Linear::pack(const Job& job) {
  const std::int64_t units = job.weight.num_units();
  const std::int64_t parts =
      job.num_blocks == 1 ? std::min<std::int64_t>(units, pool_.num_threads()) : 1;
  pool_.run_if(job.x.rows * job.x.cols >= kSharedPacking, job.num_blocks * parts,
               [&](const WorkItem& item) {
                 const std::int64_t block = item.index / parts;
                 const std::int64_t part = item.index % parts;
                 const std::int64_t unit = units * part / parts;
                 const std::int64_t k = unit * job.kernels.unit;
                 const std::int64_t end =
                     std::min(units * (part + 1) / parts * job.kernels.unit, job.x.cols);
                 job.kernels.pack_rows(job.x.row(job.first_row(block)) + k, job.x.row_stride,
                                       job.block_rows(block), end - k, packed_at(job, block, unit));
               });
}

float* Linear::packed_at(const Job& job, std::int64_t block, std::int64_t unit) const {
  return packed_.floats() + block * job.block_words +
         unit * job.kernels.unit_words * job.kernels.stride(job.block_rows(block));
}

const float* Linear::packed(const Job& job, std::int64_t block, std::int64_t unit) const {
  if (job.x.rows == 1 && job.kernels.unit == 1) return job.x.row(0) + unit;
  return packed_at(job, block, unit);
}

// One panel over some blocks of k. A panel that sticks out over the last column computes into
// scratch memory and copies what exists.
void Linear::run_panel(const Job& job, const WorkItem& item, std::int64_t depth_begin,
                       std::int64_t depth_end) {
  const std::int64_t column = item.index * kPanelColumns;
  const std::int64_t columns = std::min(kPanelColumns, job.out.cols - column);
  const bool padded = columns < kPanelColumns;
  float* sums =
      scratch_.floats() + (item.worker * (kDepth + 16 + kGroupRows) + kDepth + 16) * kPanelColumns;
  LinearTile tile{.y = padded ? sums : job.out.row(0) + column,
                  .y_stride = padded ? kPanelColumns : job.out.row_stride};
  const auto rows = static_cast<std::int64_t>(job.x.rows);
  if (padded && depth_begin > 0) {
    for (std::int64_t r = 0; r < rows; ++r) {
      std::copy_n(job.out.row(r) + column, columns, sums + r * kPanelColumns);
    }
  }
  float bias[kPanelColumns] = {};
  if (job.bias != nullptr) std::copy_n(job.bias + column, columns, bias);

  for (std::int64_t i = depth_begin; i < depth_end; ++i) {
    const std::int64_t unit = job.depth_at(i);
    const bool more = i + 1 < depth_end;
    tile.w = job.weight.at(item.index, unit);
    tile.depth = job.depth_at(i + 1) - unit;
    tile.first = i == 0;
    tile.bias = job.bias != nullptr && i + 1 == job.num_depths ? bias : nullptr;
    tile.prefetch =
        reinterpret_cast<const char*>(more ? job.weight.at(item.index, job.depth_at(i + 1))
                                           : job.weight.at(item.next, job.depth_at(depth_begin)));
    run_tiles(job, tile, item.worker, unit);
  }
  if (!padded) return;
  for (std::int64_t r = 0; r < rows; ++r) {
    std::copy_n(sums + r * kPanelColumns, columns, job.out.row(r) + column);
  }
}

// All row blocks against one block of a panel.
void Linear::run_tiles(const Job& job, LinearTile tile, int worker, std::int64_t unit) {
  const LinearKernels& kernels = job.kernels;
  const bool keep = job.num_blocks >= kKeepFrom && kernels.keep[kernels.max_rows] != nullptr;
  float* widened = scratch_.floats() + worker * (kDepth + 16 + kGroupRows) * kPanelColumns;
  float* y = tile.y;
  tile.prefetch_step = divide_up(kernels.unit_bytes, job.num_blocks);
  const bool lone = job.num_blocks == 1;
  if (lone) tile.prefetch = reinterpret_cast<const char*>(tile.w) + kernels.lone_ahead;
  for (std::int64_t block = 0; block < job.num_blocks; ++block) {
    const int rows = job.block_rows(block);
    tile.rows = rows;
    tile.x = packed(job, block, unit);
    tile.y = y + job.first_row(block) * tile.y_stride;
    if (block + 1 < job.num_blocks) {
      prefetch_rows(y + job.first_row(block + 1) * tile.y_stride, tile.y_stride,
                    job.block_rows(block + 1));
    }
    if (!keep) {
      const bool again = block > 0 && job.num_blocks >= kAgainFrom;
      const LinearKernel special = lone    ? kernels.lone[rows]
                                   : again ? kernels.again[rows]
                                           : nullptr;
      (special != nullptr ? special : kernels.run[rows])(tile);
    } else if (block == 0) {
      tile.widened = widened;
      kernels.keep[rows](tile);
      tile.w = reinterpret_cast<const std::byte*>(widened);
    } else {
      kernels_.linear[0].run[rows](tile);
    }
    tile.prefetch += tile.prefetch_step * tile.depth;
  }
}

}  // namespace quire::engine::cpu
