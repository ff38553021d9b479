// The one-shot SHA256() of OpenSSL 3 looks its algorithm up and allocates at each call; the plain
// functions do neither.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "cache/page_key.h"

#include <openssl/sha.h>

namespace quire::cache {
namespace {

// What is hashed differs in its first word, so that no root can be a span's text.
enum class Kind : std::uint64_t { kRoot = 1, kSpan = 2 };

class Digest final {
 public:
  Digest(Kind kind, const PageKey& before) {
    SHA256_Init(&state_);
    add(&kind, sizeof kind);
    add(&before, sizeof before);
  }
  void add(const void* bytes, std::size_t size) { SHA256_Update(&state_, bytes, size); }
  [[nodiscard]] PageKey finish() {
    PageKey key;
    SHA256_Final(reinterpret_cast<unsigned char*>(key.words.data()), &state_);
    return key;
  }

 private:
  SHA256_CTX state_;
};

}  // namespace

PageKey root_key(const PageKey& context, const CacheRoot& root) {
  Digest digest(Kind::kRoot, context);
  const std::array<std::uint64_t, 3> words = {root.salt.high, root.salt.low,
                                              static_cast<std::uint64_t>(root.adapter)};
  digest.add(words.data(), sizeof words);
  return digest.finish();
}

PageKey child_key(const PageKey& parent, std::span<const TokenId> tokens) {
  Digest digest(Kind::kSpan, parent);
  digest.add(tokens.data(), tokens.size_bytes());
  return digest.finish();
}

}  // namespace quire::cache
