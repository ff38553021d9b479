#pragma once
// TokenizerFile: a tokenizer.json as read, before any of it is believed. The vocabulary and the
// merges, nearly all of its bytes, go straight into flat storage; the rest becomes a small tree.
//
// A value. Invariants: the text was JSON without duplicate keys, at most kMaxDepth deep, within the
// limits below; vocabulary ids are unique and in range.
// Cost: O(bytes); about three times the file in memory.

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/string_index.h"
#include "proto/error.h"

namespace quire::engine {

// Far above any published tokenizer (Llama 3: 9 MB, 128,256 words), small enough to hold.
inline constexpr std::size_t kMaxTokenizerFileBytes = std::size_t{256} << 20;
inline constexpr std::int64_t kMaxVocabSize = std::int64_t{1} << 21;
inline constexpr std::size_t kMaxMerges = (std::size_t{1} << 21) - 1;
inline constexpr std::size_t kMaxTreeNodes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxDepth = 16;

// Pairs of strings in one arena.
class MergeList final {
 public:
  struct Pair {
    std::string_view left;
    std::string_view right;
  };

  void add(std::string_view left, std::string_view right);
  [[nodiscard]] std::size_t size() const { return ends_.size() / 2; }
  [[nodiscard]] Pair operator[](std::size_t index) const;

 private:
  std::string arena_;
  std::vector<std::uint32_t> ends_;  // two per pair
};

struct TokenizerFile {
  TokenizerFile();
  ~TokenizerFile();
  TokenizerFile(TokenizerFile&&) noexcept;
  TokenizerFile& operator=(TokenizerFile&&) noexcept;

  StringIndex vocab;
  MergeList merges;
  std::unique_ptr<nlohmann::json> rest;  // all but model.vocab and model.merges
};

// `name` stands in error messages.
Result<TokenizerFile> read_tokenizer_json(std::string_view json, std::string_view name);

}  // namespace quire::engine
