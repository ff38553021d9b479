#include "server/keys.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "proto/check.h"
#include "server/http.h"

namespace quire::server {
namespace {

constexpr std::size_t kMaxKeyFile = 1 << 20;  // bytes
constexpr std::size_t kMaxKeys = 1024;        // every request is compared with all of them

bool from_hex(std::string_view hex, std::array<unsigned char, 32>& out) {
  std::string percent;
  if (hex.size() != 64) return false;
  for (std::size_t i = 0; i < 64; i += 2) percent.append("%").append(hex.substr(i, 2));
  std::string bytes;
  if (!percent_decode(percent, bytes)) return false;
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return true;
}

}  // namespace

std::string sha256_hex(std::string_view text) {
  std::array<unsigned char, 32> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += kHex[byte >> 4];
    hex += kHex[byte & 15];
  }
  return hex;
}

Keys::Keys() {
  if (RAND_bytes(secret_.data(), static_cast<int>(secret_.size())) != 1) {
    throw StartupError("no random numbers from the system: pages cannot be kept apart");
  }
}

Result<bool> Keys::load_secret(const std::filesystem::path& path) {
  const auto bad = [&](const char* what) {
    return Error{ErrorCode::kInvalidRequest, what, path.string()};
  };
  // Whole or not at all, and never over another's: a first start of two replicas at once included.
  const std::filesystem::path fresh = path.string() + "." + std::to_string(::getpid());
  const int made = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (made >= 0) {
    const bool written =
        ::write(made, secret_.data(), secret_.size()) == static_cast<ssize_t>(secret_.size()) &&
        ::fsync(made) == 0;
    ::close(made);
    const bool linked = written && (::link(fresh.c_str(), path.c_str()) == 0 || errno == EEXIST);
    ::unlink(fresh.c_str());
    if (!linked) return bad("cannot be made");
  }
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return bad("cannot be read or made");
  struct stat info {};
  Digest found{};
  const bool is_private = ::fstat(file, &info) == 0 && (info.st_mode & 077) == 0;
  const bool whole = info.st_size == static_cast<off_t>(found.size()) &&
                     ::read(file, found.data(), found.size()) == static_cast<ssize_t>(found.size());
  ::close(file);
  if (!is_private) return bad("others than its owner may read it (chmod 600)");
  if (!whole) return bad("must hold 32 bytes");
  secret_ = found;
  return true;
}

Result<std::size_t> Keys::load(const std::filesystem::path& file) {
  struct stat info {};
  if (stat(file.c_str(), &info) != 0) {
    return Error{ErrorCode::kInvalidRequest, "cannot be read", file.string()};
  }
  if ((info.st_mode & 077) != 0) {
    return Error{ErrorCode::kInvalidRequest, "others than its owner may read it (chmod 600)",
                 file.string()};
  }
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || info.st_size > static_cast<off_t>(kMaxKeyFile) || !(text << in.rdbuf())) {
    return Error{ErrorCode::kInvalidRequest, "cannot be read, is empty or is larger than 1 MiB",
                 file.string()};
  }
  return parse(text.str(), file.string());
}

Result<Keys::Entry> Keys::parse_line(std::string_view line) {
  const Error bad{ErrorCode::kInvalidRequest, "must be name:sha256hex or name:sha256hex:admin"};
  Entry entry;
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return bad;
  entry.name = line.substr(0, colon);
  std::string_view rest = line.substr(colon + 1);
  if (rest.ends_with(":admin")) {
    entry.admin = true;
    rest.remove_suffix(6);
  }
  if (!is_request_id(entry.name) || !from_hex(rest, entry.digest)) return bad;
  return entry;
}

Result<std::size_t> Keys::parse(std::string_view text, std::string_view file_name) {
  auto fresh = std::make_shared<Table>();
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number;
    if (line.empty() || line.front() == '#') continue;
    Result<Entry> entry = parse_line(line);
    const std::string where = std::string(file_name) + " line " + std::to_string(number);
    if (!entry) return Error{entry.error().code, entry.error().message, where};
    if (fresh->entries.size() == kMaxKeys) {
      return Error{ErrorCode::kInvalidRequest, "is one key more than 1024", where};
    }
    fresh->entries.push_back(std::move(*entry));
  }
  if (fresh->entries.empty()) {
    return Error{ErrorCode::kInvalidRequest, "holds no key", std::string(file_name)};
  }
  fresh->num_tenants = count_tenants(fresh->entries);
  const std::size_t count = fresh->entries.size();
  const std::lock_guard lock(mutex_);
  table_ = std::move(fresh);
  return count;
}

std::shared_ptr<const Keys::Table> Keys::table() const {
  const std::lock_guard lock(mutex_);
  return table_;
}

bool Keys::configured() const { return table() != nullptr; }

std::size_t Keys::count_tenants(const std::vector<Entry>& entries) {
  std::set<std::string_view> users, all;
  for (const Entry& entry : entries) {
    all.insert(entry.name);
    if (!entry.admin) users.insert(entry.name);
  }
  return users.empty() ? all.size() : users.size();
}

std::size_t Keys::num_tenants() const {
  const auto keys = table();
  return keys == nullptr ? 0 : keys->num_tenants;
}

KeyKind Keys::check(std::string_view presented) const {
  const std::shared_ptr<const Table> keys = table();
  if (keys == nullptr) return KeyKind::kAdmin;
  Digest digest{};
  SHA256(reinterpret_cast<const unsigned char*>(presented.data()), presented.size(), digest.data());
  unsigned found = 0;
  unsigned admin = 0;
  for (const Entry& entry : keys->entries) {
    const bool differs = CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) != 0;
    const unsigned same = differs ? 0u : 1u;
    found |= same;
    admin |= same & (entry.admin ? 1u : 0u);
  }
  if (admin != 0) return KeyKind::kAdmin;
  return found != 0 ? KeyKind::kUser : KeyKind::kNone;
}

std::string Keys::name_of(std::string_view presented) const {
  const std::shared_ptr<const Table> keys = table();
  if (keys == nullptr) return {};
  Digest digest{};
  SHA256(reinterpret_cast<const unsigned char*>(presented.data()), presented.size(), digest.data());
  const Entry* found = nullptr;
  for (const Entry& entry : keys->entries) {
    const bool same = CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0;
    found = same ? &entry : found;
  }
  return found == nullptr ? std::string() : found->name;
}

CacheSalt Keys::salt(std::string_view tenant, const std::optional<std::string>& cache_salt) const {
  // The length goes first, so that no tenant and cache_salt can be another pair's text.
  std::string text = std::to_string(tenant.size()) + ':' + std::string(tenant);
  if (cache_salt) text += '/' + *cache_salt;
  Digest digest{};
  unsigned size = 0;
  CHECK(HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(),
             &size) != nullptr);
  CHECK_EQ(size, digest.size());
  CacheSalt salt;
  std::memcpy(&salt.high, digest.data(), sizeof salt.high);
  std::memcpy(&salt.low, digest.data() + sizeof salt.high, sizeof salt.low);
  return salt;
}

std::string_view Keys::bearer(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size() ||
      !equals_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) {
    return {};
  }
  authorization.remove_prefix(kScheme.size());
  while (authorization.starts_with(' ')) authorization.remove_prefix(1);
  return authorization;
}

}  // namespace quire::server
