#include "engine/tiers/model_digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <span>

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

// A descriptor of its own, closed with it.
class RegularFile final {
 public:
  explicit RegularFile(const std::filesystem::path& path)
      : name_(path.string()),
        // O_NONBLOCK: opening a named pipe must not wait for a writer.
        descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    struct stat info {};
    if (descriptor_ >= 0 && ::fstat(descriptor_, &info) == 0 && S_ISREG(info.st_mode)) return;
    if (descriptor_ >= 0) ::close(descriptor_);
    fail();
  }
  ~RegularFile() { ::close(descriptor_); }
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;

  // How many bytes; 0 at the end.
  std::size_t read(std::span<std::byte> chunk) {
    ssize_t n = 0;
    do {
      n = ::read(descriptor_, chunk.data(), chunk.size());
    } while (n < 0 && errno == EINTR);
    if (n < 0) fail();
    return static_cast<std::size_t>(n);
  }

 private:
  [[noreturn]] void fail() const { throw StartupError(name_ + ": cannot be read"); }
  std::string name_;
  int descriptor_;
};

void add_file(Sha256& digest, const std::filesystem::path& path, std::span<std::byte> chunk) {
  digest.add_text(path.filename().string());
  RegularFile file(path);
  std::uint64_t size = 0;
  while (const std::size_t n = file.read(chunk)) {
    digest.add(chunk.data(), n);
    size += n;
  }
  digest.add(&size, sizeof size);
}

}  // namespace

cache::PageKey model_digest(const std::filesystem::path& folder,
                            const std::vector<std::string>& weights) {
  Sha256 digest;
  std::vector<std::byte> chunk(kChunk);
  add_file(digest, folder / "config.json", chunk);
  for (const std::string& name : weights) add_file(digest, folder / name, chunk);
  return digest.finish();
}

cache::PageKey extend_digest(const cache::PageKey& before, std::string_view text) {
  Sha256 digest;
  digest.add(before.words.data(), sizeof before.words);
  digest.add_text(text);
  return digest.finish();
}

}  // namespace quire::engine
