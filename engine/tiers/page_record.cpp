// The plain SHA-256 functions allocate nothing (page_key.cpp has the reason).
#define OPENSSL_SUPPRESS_DEPRECATED

#include "engine/tiers/page_record.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "proto/check.h"

namespace quire::engine {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::array<char, 8> kMagic = {'Q', 'U', 'I', 'R', 'E', 'P', 'G', '1'};
using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

struct Head {
  std::array<char, 8> magic = kMagic;
  std::uint64_t stamp = 0;
  cache::PageKey key;
  std::uint64_t num_tokens = 0;
  std::uint64_t page_bytes = 0;
  Digest digest{};
  std::uint64_t check = 0;
};
static_assert(sizeof(Head) == 104);

// Of the fields before `digest`, the tokens and the pages.
Digest digest_of(const Head& head, std::span<const TokenId> tokens,
                 std::span<const std::byte> pages) {
  SHA256_CTX state;
  SHA256_Init(&state);
  SHA256_Update(&state, &head, offsetof(Head, digest));
  SHA256_Update(&state, tokens.data(), tokens.size_bytes());
  SHA256_Update(&state, pages.data(), pages.size());
  Digest digest;
  SHA256_Final(digest.data(), &state);
  return digest;
}

std::uint64_t check_of(const Head& head, std::span<const TokenId> tokens) {
  SHA256_CTX state;
  SHA256_Init(&state);
  SHA256_Update(&state, &head, offsetof(Head, check));
  SHA256_Update(&state, tokens.data(), tokens.size_bytes());
  Digest digest;
  SHA256_Final(digest.data(), &state);
  std::uint64_t check = 0;
  std::memcpy(&check, digest.data(), sizeof check);
  return check;
}

// Multiples of 64, so that what follows is aligned.
std::size_t aligned(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

std::span<const TokenId> tokens_in(const RecordShape& shape, std::span<const std::byte> bytes) {
  return {reinterpret_cast<const TokenId*>(bytes.data() + sizeof(Head)), shape.span_tokens};
}

}  // namespace

std::size_t RecordShape::head_bytes() const {
  return aligned(sizeof(Head) + span_tokens * sizeof(TokenId));
}

void write_record(const RecordShape& shape, const RecordHead& from,
                  std::span<const std::byte> pages, std::span<std::byte> out) {
  CHECK_EQ(from.tokens.size(), shape.span_tokens);
  CHECK_EQ(pages.size(), shape.page_bytes);
  CHECK_EQ(out.size(), shape.record_bytes());
  Head head{.stamp = from.stamp,
            .key = from.key,
            .num_tokens = shape.span_tokens,
            .page_bytes = shape.page_bytes};
  head.digest = digest_of(head, from.tokens, pages);
  head.check = check_of(head, from.tokens);
  std::memset(out.data(), 0, shape.head_bytes());
  std::memcpy(out.data(), &head, sizeof head);
  std::memcpy(out.data() + sizeof head, from.tokens.data(), from.tokens.size_bytes());
  std::memcpy(out.data() + shape.head_bytes(), pages.data(), pages.size());
}

std::optional<RecordHead> read_head(const RecordShape& shape, std::span<const std::byte> bytes) {
  if (bytes.size() < shape.head_bytes()) return std::nullopt;
  CHECK_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(Head), std::uintptr_t{0});
  Head head;
  std::memcpy(&head, bytes.data(), sizeof head);
  if (head.magic != kMagic || head.num_tokens != shape.span_tokens ||
      head.page_bytes != shape.page_bytes) {
    return std::nullopt;
  }
  const auto tokens = tokens_in(shape, bytes);
  if (head.check != check_of(head, tokens)) return std::nullopt;
  return RecordHead{.stamp = head.stamp, .key = head.key, .tokens = tokens};
}

std::span<const std::byte> read_record(const RecordShape& shape, const cache::PageKey& key,
                                       std::span<const TokenId> tokens,
                                       std::span<const std::byte> bytes) {
  if (bytes.size() != shape.record_bytes()) return {};
  const std::optional<RecordHead> found = read_head(shape, bytes);
  if (!found || found->key != key || !std::ranges::equal(found->tokens, tokens)) return {};
  Head head;
  std::memcpy(&head, bytes.data(), sizeof head);
  const auto pages = bytes.subspan(shape.head_bytes());
  return head.digest == digest_of(head, tokens, pages) ? pages : std::span<const std::byte>();
}

}  // namespace quire::engine
