#pragma once
// The plug-in's ops on the host. Products and attention walk the kernels' own schedule (schedule.h,
// softmax.h): the same blocks, items, slices, splits, tiles and masks, one thread after another.
// The rest is plain loops over rows.
//
// What it cannot show is the tensor cores' own rounding: an instruction is a chain of fused
// multiply-adds here.

#include "engine/backend/cuda/quire_cuda_abi.h"

namespace quire::engine::cuda::testing {

void emulate(const QuireCudaOp& op);

// Those below, for emulate().
void emulate_linear(const QuireCudaOp& op);
void emulate_attention(const QuireCudaOp& op);
void emulate_sampling(const QuireCudaOp& op);

}  // namespace quire::engine::cuda::testing
