#pragma once
// What the CPU backend gives under AMX: split_format.h's chain, in plain loops.

#include "engine/backend/split_format.h"
#include "tests/backend/tensors.h"

namespace quire::engine::testing {

// Whether this variant's products on weights of `dtype` are that chain and not the reference's.
[[nodiscard]] bool splits(const CpuVariant& variant, DType dtype);

// All of x times `weight`, bfloat16's numbers that `reference` prepared.
[[nodiscard]] Matrix split_product(Backend& reference, const Weight& weight, const float* bias,
                                   const Matrix& x);

// What the variant must give for all of x: `weight` was prepared by `reference` with `dtype`.
[[nodiscard]] Matrix expected_product(const CpuVariant& variant, DType dtype, Backend& reference,
                                      const Weight& weight, const float* bias, Matrix& x);

}  // namespace quire::engine::testing
