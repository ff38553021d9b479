#include "scheduler/admission.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

#include <limits>
#include <string>

namespace quire::scheduler {
namespace {

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

bool names(const Error& error, std::int64_t number) {
  return error.message.find(std::to_string(number)) != std::string::npos;
}

TEST_CASE("the context length admits up to its last token") {
  const Admission admission(100, 16000);
  CHECK_FALSE(admission.check(90, 10));
  CHECK_FALSE(admission.check(100, 0));
  CHECK_FALSE(admission.check(1, 99));

  const auto error = admission.check(90, 11);
  REQUIRE(error);
  CHECK(error->code == ErrorCode::kInvalidRequest);
  CHECK(error->param == "max_tokens");
  CHECK(names(*error, 90));
  CHECK(names(*error, 11));
  CHECK(names(*error, 100));
}

TEST_CASE("a prompt that is too long by itself is the prompt's fault") {
  const Admission admission(100, 16000);
  const auto error = admission.check(101, 0);
  REQUIRE(error);
  CHECK(error->param == "prompt");
  CHECK(names(*error, 101));
  CHECK(names(*error, 100));
}

TEST_CASE("what the pool cannot hold is refused, at every size around the limit") {
  for (const std::int32_t block_size : {1, 3, 16}) {
    for (const std::int32_t num_blocks : {1, 2, 7}) {
      const Admission admission(1 << 20, std::int64_t{num_blocks} * block_size);
      const std::int64_t limit = std::int64_t{num_blocks} * block_size;
      for (std::int64_t prompt = 1; prompt <= limit + block_size; ++prompt) {
        CHECK(admission.check(prompt, limit - prompt).has_value() == (prompt > limit));
        CHECK(admission.check(prompt, limit - prompt + 1).has_value());
      }
    }
  }
}

TEST_CASE("numbers without sense do not overflow") {
  const Admission admission(100, 160);
  for (const std::int64_t prompt : {kHuge, std::int64_t{0}, std::int64_t{-1}, -kHuge}) {
    for (const std::int64_t max_tokens : {kHuge, std::int64_t{0}, -kHuge}) {
      const auto error = admission.check(prompt, max_tokens);
      REQUIRE(error);
      CHECK(error->param == (prompt > 0 && max_tokens < 0 ? "max_tokens" : "prompt"));
      CHECK(error->message.size() <= 512);
    }
  }
  CHECK(admission.check(1, kHuge)->param == "max_tokens");
  CHECK(admission.check(1, -1)->param == "max_tokens");
}

}  // namespace
}  // namespace quire::scheduler
