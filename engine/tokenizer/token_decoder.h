#pragma once
// TokenDecoder: what each token contributes to the text, worked out once at load, so that decoding
// is a copy.
//
// Immutable after construction; any thread.
// 1. bytes(id) is the token's part in the middle of a text; it may be part of a character.
// 2. first_bytes(id) is its part if no token came before it (some decoders drop its leading space).
// 3. Beyond that only strip_start remains to be done: up to so many strip_char at the very start.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/types.h"

namespace quire::engine {

// The `decoder` of a tokenizer.json in the forms that can be streamed.
struct DecoderSpec {
  struct Rewrite {  // of each token's text, in order
    enum class Kind : std::uint8_t { kReplace, kStrip };
    Kind kind = Kind::kReplace;
    std::string from;  // kStrip: the one character
    std::string to;
    std::size_t start = 0;  // kStrip: at most so many at each end
    std::size_t stop = 0;
  };
  enum class Bytes : std::uint8_t {
    kText,          // a token is its text
    kByteLevel,     // its characters stand for bytes
    kByteFallback,  // <0x00> to <0xFF> are bytes
  };
  std::vector<Rewrite> rewrites;
  Bytes bytes = Bytes::kText;
  bool join_with_spaces = false;       // there is no decoder at all
  std::string metaspace;               // this character is a space
  bool metaspace_drops_first = false;  // and nothing in the first token
  std::uint8_t strip_start = 0;
  char strip_char = ' ';
};

class TokenDecoder final {
 public:
  // Twice the largest file: no honest decoder makes the vocabulary grow.
  static constexpr std::size_t kMaxTotalBytes = std::size_t{512} << 20;

  explicit TokenDecoder(DecoderSpec spec) : spec_(std::move(spec)) {}

  // Called for ids 0, 1, 2 and so on; empty content for an id without a token. False if the texts
  // grew beyond kMaxTotalBytes.
  [[nodiscard]] bool add(std::string_view content);

  [[nodiscard]] std::string_view bytes(TokenId id) const { return middle_[id]; }
  [[nodiscard]] std::string_view first_bytes(TokenId id) const {
    return first_differs() ? first_[id] : middle_[id];
  }
  [[nodiscard]] std::size_t max_bytes() const { return max_bytes_; }
  [[nodiscard]] std::uint8_t strip_start() const { return spec_.strip_start; }
  [[nodiscard]] char strip_char() const { return spec_.strip_char; }

 private:
  // Strings by id, in one arena.
  class Table final {
   public:
    void add(std::string_view text);
    [[nodiscard]] std::size_t num_bytes() const { return arena_.size(); }
    std::string_view operator[](TokenId id) const {
      const auto i = static_cast<std::size_t>(id);
      return std::string_view(arena_).substr(ends_[i], ends_[i + 1] - ends_[i]);
    }

   private:
    std::string arena_;
    std::vector<std::uint32_t> ends_ = {0};
  };

  [[nodiscard]] bool first_differs() const {
    return spec_.metaspace_drops_first || spec_.join_with_spaces;
  }

  DecoderSpec spec_;
  Table middle_;
  Table first_;  // only where first_differs()
  std::size_t max_bytes_ = 0;
};

}  // namespace quire::engine
