#include "engine/tiers/model_digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "proto/check.h"
#include "proto/error.h"

namespace quire::engine {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 20;

class Sha256 final {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) {
    CHECK(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void add(const void* bytes, std::size_t size) {
    CHECK(EVP_DigestUpdate(context_.get(), bytes, size) == 1);
  }
  // With its length, so that no two texts run into each other.
  void add_text(std::string_view text) {
    const std::uint64_t size = text.size();
    add(&size, sizeof size);
    add(text.data(), text.size());
  }
  cache::PageKey finish() {
    cache::PageKey key;
    unsigned size = 0;
    auto* const out = reinterpret_cast<unsigned char*>(key.words.data());
    CHECK(EVP_DigestFinal_ex(context_.get(), out, &size) == 1);
    CHECK_EQ(std::size_t{size}, sizeof key.words);
    return key;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

void add_file(Sha256& digest, const std::filesystem::path& file, std::vector<std::byte>& chunk) {
  digest.add_text(file.filename().string());
  const int opened = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (opened < 0) throw StartupError(file.string() + ": cannot be read");
  std::uint64_t size = 0;
  while (true) {
    const ssize_t n = ::read(opened, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      ::close(opened);
      throw StartupError(file.string() + ": cannot be read");
    }
    if (n == 0) break;
    digest.add(chunk.data(), static_cast<std::size_t>(n));
    size += static_cast<std::uint64_t>(n);
  }
  digest.add(&size, sizeof size);
  ::close(opened);
}

}  // namespace

cache::PageKey model_digest(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files{folder / "config.json"};
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  std::sort(files.begin() + 1, files.end());
  Sha256 digest;
  std::vector<std::byte> chunk(kChunk);
  for (const std::filesystem::path& file : files) add_file(digest, file, chunk);
  return digest.finish();
}

cache::PageKey extend_digest(const cache::PageKey& before, std::string_view text) {
  Sha256 digest;
  digest.add(before.words.data(), sizeof before.words);
  digest.add_text(text);
  return digest.finish();
}

}  // namespace quire::engine
