// Page records: what is accepted, and that nothing else is.

#include "engine/tiers/page_record.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/engine/tiers/records.h"

namespace quire::engine {

TEST_CASE("a record comes back as it was written") {
  const Span span(7);
  const auto bytes = record_of(span, 42);
  const auto head = read_head(kShape, bytes);
  REQUIRE(head.has_value());
  CHECK(head->stamp == 42);
  CHECK((head->key == span.key));
  CHECK(std::ranges::equal(head->tokens, span.tokens));
  CHECK(std::ranges::equal(read_record(kShape, span.key, span.tokens, bytes), span.pages));
}

TEST_CASE("every flipped byte and every cut is seen") {
  const Span span(7);
  const auto good = record_of(span);
  const auto is_good = [&](std::span<const std::byte> bytes) {
    return !read_record(kShape, span.key, span.tokens, bytes).empty();
  };
  REQUIRE(is_good(good));
  const std::size_t used = 104 + 4 * sizeof(TokenId);
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] ^= std::byte{1};
    // What pads the head is no part of the record.
    const bool padding = i >= used && i < kShape.head_bytes();
    if (is_good(bad) != padding) FAIL("byte " << i);
  }
  for (std::size_t size = 0; size < good.size(); size += 13) {
    if (is_good(std::span(good).first(size))) FAIL("cut at " << size);
  }
}

TEST_CASE("a record of another span, key or shape is not this one") {
  const Span span(7), other(8);
  const auto bytes = record_of(span);
  CHECK(read_record(kShape, other.key, span.tokens, bytes).empty());
  CHECK(read_record(kShape, span.key, other.tokens, bytes).empty());
  CHECK_FALSE(read_head({.span_tokens = 4, .page_bytes = 4999}, bytes).has_value());
  CHECK_FALSE(read_head({.span_tokens = 5, .page_bytes = 5000}, bytes).has_value());
}

TEST_CASE("keys differ by context, salt, adapter, tokens and order") {
  const cache::PageKey none{}, other{.words = {1, 0, 0, 0}};
  const auto root = cache::root_key(none, {});
  CHECK_FALSE((root == cache::root_key(other, {})));
  CHECK_FALSE((root == cache::root_key(none, {.salt = {.high = 1, .low = 0}})));
  CHECK_FALSE((root == cache::root_key(none, {.salt = {.high = 0, .low = 1}})));
  CHECK_FALSE((root == cache::root_key(none, {.adapter = 1})));
  const std::vector<TokenId> a{1, 2}, b{3, 4};
  const auto ab = cache::child_key(cache::child_key(root, a), b);
  const auto ba = cache::child_key(cache::child_key(root, b), a);
  CHECK_FALSE((ab == ba));
  CHECK((ab == cache::child_key(cache::child_key(root, a), b)));
}

}  // namespace quire::engine
