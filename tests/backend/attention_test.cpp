// Paged attention: close to the reference at every shape, and the law: the same bits however a
// sequence is cut, in whatever company, with any block size, number of threads and instruction set.

#include "tests/backend/paged_attention.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

using testing::AttentionShape;
using testing::CpuVariant;
using testing::Matrix;
using testing::PagedSequences;
using testing::Step;

constexpr std::int64_t kMaxFeatures = 4096;

std::unique_ptr<Backend> make_cpu(const CpuVariant& variant) {
  auto backend = make_cpu_backend(variant.threads, variant.isa);
  backend->reserve(512, 64, kMaxFeatures, 4096);
  return backend;
}

TEST_CASE("attention agrees with the reference at every grouping, head size and page type") {
  const AttentionShape shapes[] = {
      {.num_heads = 1, .num_kv_heads = 1, .head_dim = 8},
      {.num_heads = 3, .num_kv_heads = 3, .head_dim = 24, .dtype = DType::kBFloat16},
      {.num_heads = 6, .num_kv_heads = 2, .head_dim = 32, .rotary_dim = 32},
      {.num_heads = 8,
       .num_kv_heads = 2,
       .head_dim = 64,
       .rotary_dim = 64,
       .dtype = DType::kFloat16},
      {.num_heads = 5,
       .num_kv_heads = 1,
       .head_dim = 40,
       .rotary_dim = 20,
       .dtype = DType::kBFloat16},
      {.num_heads = 7, .num_kv_heads = 1, .head_dim = 128, .rotary_dim = 128},
      {.num_heads = 100,
       .num_kv_heads = 2,
       .head_dim = 16},  // more heads per group than an item holds
      {.num_heads = 2, .num_kv_heads = 1, .head_dim = 256, .dtype = DType::kBFloat16},
      {.num_heads = 4, .num_kv_heads = 4, .head_dim = 72, .dtype = DType::kFloat16},
      {.num_heads = 2, .num_kv_heads = 2, .head_dim = 1},
      {.num_heads = 4, .num_kv_heads = 2, .head_dim = 13, .dtype = DType::kBFloat16},
      {.num_heads = 4,
       .num_kv_heads = 1,
       .head_dim = 30,
       .rotary_dim = 30,
       .dtype = DType::kFloat16},
      {.num_heads = 20, .num_kv_heads = 1, .head_dim = 1024, .dtype = DType::kBFloat16},
      {.num_heads = 6, .num_kv_heads = 2, .head_dim = 16, .window = 1},
      {.num_heads = 6, .num_kv_heads = 2, .head_dim = 16, .window = 50, .dtype = DType::kBFloat16},
      {.num_heads = 4, .num_kv_heads = 1, .head_dim = 32, .window = 64},
      {.num_heads = 6, .num_kv_heads = 2, .head_dim = 32, .rotary_dim = 32, .dtype = DType::kInt8},
      {.num_heads = 8, .num_kv_heads = 8, .head_dim = 64, .dtype = DType::kInt8},
      {.num_heads = 4, .num_kv_heads = 2, .head_dim = 13, .dtype = DType::kInt8},
      {.num_heads = 7, .num_kv_heads = 1, .head_dim = 128, .window = 50, .dtype = DType::kInt8},
      {.num_heads = 20, .num_kv_heads = 1, .head_dim = 1024, .dtype = DType::kInt8},
      {.num_heads = 3, .num_kv_heads = 3, .head_dim = 1, .dtype = DType::kInt8},
      {.num_heads = 6, .num_kv_heads = 2, .head_dim = 32, .dtype = DType::kFp8E4M3},
      {.num_heads = 8,
       .num_kv_heads = 1,
       .head_dim = 64,
       .rotary_dim = 64,
       .dtype = DType::kFp8E4M3},
      {.num_heads = 5, .num_kv_heads = 5, .head_dim = 21, .dtype = DType::kFp8E4M3},
      {.num_heads = 4, .num_kv_heads = 2, .head_dim = 128, .window = 33, .dtype = DType::kFp8E4M3},
      {.num_heads = 2, .num_kv_heads = 2, .head_dim = 1024, .dtype = DType::kFp8E4M3},
  };
  // Around the edges of blocks (16), tiles (64) and runs.
  const std::vector<int> lengths{1, 15, 16, 17, 63, 64, 65, 129, 200};
  for (const AttentionShape& shape : shapes) {
    const PagedSequences sequences(shape, lengths);
    const std::vector<Step> steps = sequences.random_steps(3, 70);
    const auto expected = sequences.run(*make_reference_backend(), 16, steps);
    for (const CpuVariant& variant : testing::cpu_variants()) {
      INFO(variant.isa << ", " << variant.threads << " threads, " << shape.num_heads << "/"
                       << shape.num_kv_heads << " heads of " << shape.head_dim << ", window "
                       << shape.window << ", dtype " << static_cast<int>(shape.dtype));
      check_close(sequences.run(*make_cpu(variant), 16, steps), expected, 2e-6);
    }
  }
}

TEST_CASE("the reference obeys the law as well") {
  const PagedSequences sequences({.head_dim = 12, .rotary_dim = 12, .window = 20}, {70, 5, 33});
  const auto reference = make_reference_backend();
  const auto expected = sequences.run(*reference, 16, sequences.whole());
  check_same(sequences.run(*reference, 1, sequences.one_by_one()), expected);
  check_same(sequences.run(*reference, 24, sequences.random_steps(1, 9)), expected);
  for (const DType dtype : {DType::kInt8, DType::kFp8E4M3}) {
    const PagedSequences coded({.head_dim = 13, .window = 20, .dtype = dtype}, {70, 5, 33});
    const auto whole = coded.run(*reference, 16, coded.whole());
    check_same(coded.run(*reference, 1, coded.one_by_one()), whole);
    check_same(coded.run(*reference, 24, coded.random_steps(1, 9)), whole);
  }
}

// Everything that must not matter, against one whole prefill.
void check_law(const AttentionShape& shape, const std::vector<int>& lengths) {
  const PagedSequences sequences(shape, lengths);
  std::vector<Matrix> expected;
  for (const CpuVariant& variant : testing::cpu_variants()) {
    INFO(variant.isa << ", " << variant.threads << " threads");
    const auto backend = make_cpu(variant);
    for (const std::int32_t block_size : {16, 32, 64, 128}) {
      INFO("block size " << block_size);
      const auto whole = sequences.run(*backend, block_size, sequences.whole());
      if (expected.empty()) expected = whole;
      check_same(whole, expected);
      check_same(sequences.run(*backend, block_size, sequences.random_steps(block_size, 37)),
                 expected);
    }
    check_same(sequences.run(*backend, 16, sequences.one_by_one()), expected);
    check_same(sequences.run(*backend, 32, sequences.random_steps(8, 200)), expected);
  }
}

TEST_CASE("attention gives the same bits however it is cut, in any company") {
  const std::vector<int> lengths{200, 1, 64, 17, 131, 63};
  check_law({.num_heads = 6, .num_kv_heads = 2, .head_dim = 32, .rotary_dim = 32}, lengths);
  check_law({.num_heads = 4, .num_kv_heads = 4, .head_dim = 64, .dtype = DType::kBFloat16},
            lengths);
  check_law({.num_heads = 8, .num_kv_heads = 1, .head_dim = 24, .dtype = DType::kFloat16}, lengths);
  check_law(
      {.num_heads = 3, .num_kv_heads = 1, .head_dim = 40, .window = 33, .dtype = DType::kBFloat16},
      lengths);
}

TEST_CASE("attention over codes gives the same bits however it is cut, in any company") {
  const std::vector<int> lengths{200, 1, 64, 17, 131, 63};
  for (const DType dtype : {DType::kInt8, DType::kFp8E4M3}) {
    check_law({.num_heads = 6, .num_kv_heads = 2, .head_dim = 32, .rotary_dim = 32, .dtype = dtype},
              lengths);
    check_law({.num_heads = 3, .num_kv_heads = 1, .head_dim = 44, .window = 33, .dtype = dtype},
              lengths);
  }
}

TEST_CASE("a step without tokens is nothing") {
  for (const CpuVariant& variant : testing::cpu_variants()) {
    const auto backend = make_cpu(variant);
    const PagedSequences sequences({}, {3});
    const std::vector<Step> steps{{}, {{0, 3}}, {}};
    check_same(sequences.run(*backend, 16, steps), sequences.run(*backend, 16, sequences.whole()));
  }
}

TEST_CASE("copying a page copies all of it") {
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(make_reference_backend());
  for (const CpuVariant& variant : testing::cpu_variants()) backends.push_back(make_cpu(variant));
  for (const auto& backend : backends) {
    const DeviceBuffer memory = backend->allocate(3 * 4096);
    auto* bytes = static_cast<std::byte*>(memory.data());
    for (int i = 0; i < 3 * 4096; ++i) REQUIRE(bytes[i] == std::byte{0});
    for (int i = 0; i < 4096; ++i) bytes[i] = static_cast<std::byte>(i * 7);
    backend->copy_page({.pool = bytes, .page_bytes = 4096, .layer_offset = 512, .part_bytes = 128},
                       BlockId{0}, BlockId{2});
    REQUIRE(std::memcmp(bytes, bytes + 2 * 4096, 4096) == 0);
    REQUIRE(bytes[4096 + 1] == std::byte{0});
  }
}

TEST_CASE("a head size without room is refused, not computed wrongly") {
  for (const CpuVariant& variant : testing::cpu_variants()) {
    const auto backend = make_cpu(variant);
    const PagedSequences wide({.num_heads = 1, .num_kv_heads = 1, .head_dim = 1025}, {3});
    REQUIRE_THROWS_AS(wide.run(*backend, 16, wide.whole()), std::runtime_error);
  }
}

}  // namespace
}  // namespace quire::engine
