#pragma once
// Keys: the API keys, kept as SHA-256 digests.
//
// File: one `name:sha256hex[:admin]` per line; empty lines and lines that begin with '#' are
// skipped; readable by its owner alone. check() may be called from any thread while reload() swaps
// the table.
// 1. check() and name_of() compare against every key without an early exit, in constant time each.
// 2. salt() is a keyed digest under a secret, drawn at start or kept in a file that its owner alone
//    can read: nobody outside can guess a salt or make two equal.

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"
#include "proto/types.h"

namespace quire::server {

enum class KeyKind : std::uint8_t { kNone, kUser, kAdmin };

class Keys final {
 public:
  // No keys configured: everything is open. Throws StartupError where the system has no entropy.
  Keys();

  // Takes the secret behind the salts from this file, so that pages are found again after a restart
  // and by replicas; makes the file where there is none. Before the first request.
  [[nodiscard]] Result<bool> load_secret(const std::filesystem::path& file);

  // Replaces all keys, or none and says why (naming file and line).
  [[nodiscard]] Result<std::size_t> load(const std::filesystem::path& file);
  // The same from text already read (tests).
  [[nodiscard]] Result<std::size_t> parse(std::string_view text, std::string_view file_name);

  [[nodiscard]] bool configured() const;
  // Names that requests come from; 0 where no keys are configured. Those that only an admin key has
  // are counted where there are no others: beside users an admin key commonly only looks.
  [[nodiscard]] std::size_t num_tenants() const;
  [[nodiscard]] KeyKind check(std::string_view presented) const;
  // The name of the key, which is its tenant; empty where no keys are configured or it is none.
  [[nodiscard]] std::string name_of(std::string_view presented) const;
  // What the prompts of a tenant share pages under; a client's cache_salt only narrows it.
  [[nodiscard]] CacheSalt salt(std::string_view tenant,
                               const std::optional<std::string>& cache_salt) const;
  // Of an Authorization field: the key behind `Bearer `, or empty.
  [[nodiscard]] static std::string_view bearer(std::string_view authorization);

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Entry {
    std::string name;
    Digest digest{};
    bool admin = false;
  };
  struct Table {
    std::vector<Entry> entries;
    std::size_t num_tenants = 0;
  };
  [[nodiscard]] static std::size_t count_tenants(const std::vector<Entry>& entries);
  [[nodiscard]] std::shared_ptr<const Table> table() const;
  static Result<Entry> parse_line(std::string_view line);

  Digest secret_{};
  mutable std::mutex mutex_;
  std::shared_ptr<const Table> table_;
};

// Lower-case hex of the SHA-256 of `text`: what a key file holds.
[[nodiscard]] std::string sha256_hex(std::string_view text);

}  // namespace quire::server
