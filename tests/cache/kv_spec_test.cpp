#include "cache/kv_spec.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::cache {
namespace {

KvCacheSpec one_group(KvGroupSpec group) { return {.groups = {group}}; }

KvGroupSpec attention(std::int32_t layers, std::int32_t kv_heads, std::int32_t head_dim) {
  return {.num_layers = layers,
          .num_kv_heads = kv_heads,
          .head_dim = head_dim,
          .dtype = DType::kFloat16};
}

constexpr std::int64_t kMiB = 1 << 20;

TEST_CASE("4096 tokens of 32 layers, 32 heads of 128, in fp16: MHA, GQA and MQA") {
  CHECK(4096 * one_group(attention(32, 32, 128)).bytes_per_token() == 2048 * kMiB);
  CHECK(4096 * one_group(attention(32, 8, 128)).bytes_per_token() == 512 * kMiB);
  CHECK(4096 * one_group(attention(32, 1, 128)).bytes_per_token() == 64 * kMiB);
}

TEST_CASE("DeepSeek-V3 at 100,000 tokens in fp16: MHA, MQA and MLA") {
  const auto gigabytes = [](const KvGroupSpec& group) {
    return static_cast<double>(one_group(group).bytes_per_token()) * 100'000 / 1e9;
  };
  CHECK(gigabytes(attention(61, 128, 128)) == Approx(400).epsilon(0.001));
  CHECK(gigabytes(attention(61, 1, 128)) == Approx(3.1).epsilon(0.01));
  KvGroupSpec latent = attention(61, 1, 512 + 64);
  latent.kind = AttentionKind::kLatent;
  CHECK(gigabytes(latent) == Approx(7.0).epsilon(0.01));
}

TEST_CASE("bytes follow the dtype") {
  KvGroupSpec group = attention(2, 4, 8);
  CHECK(group.bytes_per_token() == 2 * 2 * 4 * 8 * 2);
  group.dtype = DType::kFloat32;
  CHECK(group.bytes_per_token() == 2 * 2 * 4 * 8 * 4);
  for (const DType coded : {DType::kInt8, DType::kFp8E4M3}) {  // and two bytes of scale per head
    group.dtype = coded;
    CHECK(group.bytes_per_token() == 2 * 2 * 4 * (8 + 2));
    CHECK(group.part_bytes() == 16 * 4 * (8 + 2));
    CHECK(group.layer_bytes() == 2 * group.part_bytes());
  }
}

TEST_CASE("pages of int8 and fp8 hold at least 1.85 times the sequences of bfloat16") {
  for (const std::int32_t head_dim : {64, 128}) {
    for (const DType coded : {DType::kInt8, DType::kFp8E4M3}) {
      KvGroupSpec group = attention(24, 2, head_dim);  // few bytes per page: rounding counts most
      group.dtype = DType::kBFloat16;
      const std::int64_t full = one_group(group).page_bytes();
      group.dtype = coded;
      INFO("head size " << head_dim << ", pages of " << full << " bytes");
      CHECK(static_cast<double>(full) / static_cast<double>(one_group(group).page_bytes()) >= 1.85);
    }
  }
}

TEST_CASE("a page holds a block of the largest group, in whole pages of memory") {
  KvGroupSpec small = attention(1, 1, 16);  // 16 tokens * 2 parts * 16 * 2 bytes = 1 KiB
  CHECK(small.layer_bytes() == 1024);
  CHECK(one_group(small).page_bytes() == kPageAlignment);

  KvGroupSpec exact = attention(4, 1, 16);
  CHECK(one_group(exact).page_bytes() == kPageAlignment);

  KvGroupSpec over = attention(5, 1, 16);
  CHECK(one_group(over).page_bytes() == 2 * kPageAlignment);

  const KvCacheSpec both{.groups = {small, over}};
  CHECK(both.page_bytes() == 2 * kPageAlignment);
  CHECK(both.bytes_per_token() == small.bytes_per_token() + over.bytes_per_token());
}

TEST_CASE("a latent is stored once") {
  KvGroupSpec latent = attention(3, 1, 576);
  latent.kind = AttentionKind::kLatent;
  CHECK(latent.layer_bytes() == latent.part_bytes());
  CHECK(latent.bytes_per_token() == 3 * 576 * 2);
}

}  // namespace
}  // namespace quire::cache
