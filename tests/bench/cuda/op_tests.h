#pragma once
// The parts of op_tests, and how each says what it found.

#include <cstdio>
#include <string>

#include "engine/backend/backend.h"
#include "tests/bench/cuda/device_step.h"

namespace quire::engine::bench {

inline int failures = 0;
inline bool small = false;  // --small

inline void expect(bool good, const std::string& what, double figure) {
  failures += good ? 0 : 1;
  std::printf("%-6s %-64s %.3g\n", good ? "ok" : "WRONG", what.c_str(), figure);
}

// The largest difference, relative to the larger of 1 and the values' size; NaN counts as large.
[[nodiscard]] double distance(const Matrix& a, const Matrix& b);

// x weight^T on `backend`; weight is of `dtype`.
[[nodiscard]] Matrix product_on(Backend& backend, const Matrix& x, const Matrix& weight,
                                DType dtype);

void test_products_against_cublas(Backend& gpu);
void test_sampling(Backend& gpu);
// Pages copied on the device, out of it and in again; decodes as graphs beside the ops one by one.
void test_pages(Backend& gpu);
void test_graphs(Backend& gpu);

}  // namespace quire::engine::bench
