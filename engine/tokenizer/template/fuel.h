#pragma once
// Fuel: what one run of a template may cost. TemplateError: how a run ends early.
//
// One per run, on its thread. The interpreter is a deep tree of small functions, any of which may
// find its fuel spent; so inside this folder, and nowhere else, a failure is an exception. It is
// caught at ChatTemplate, which gives a Result.
// 1. Every evaluated node and every element of a list costs an operation.
// 2. Every byte that is made costs a byte of `made`, before it is made; every byte that is looked
//    through costs one of `read`.

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace quire::engine::jinja {

class TemplateError final : public std::runtime_error {
 public:
  enum class Kind : std::uint8_t {
    kSyntax,   // the template itself is wrong
    kRefused,  // raise_exception(): the message is the template's own words
    kFailed,   // an operation that these values do not have
    kFuel,     // a limit was reached
  };
  TemplateError(Kind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  [[nodiscard]] Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

[[noreturn]] inline void fail(const std::string& message) {
  throw TemplateError(TemplateError::Kind::kFailed, message);
}

// The limits. A run over a conversation of m messages and b bytes gets the fixed part and, for each
// message or byte, the other.
inline constexpr std::size_t kMaxTemplateBytes = std::size_t{1} << 20;
inline constexpr int kMaxSyntaxDepth = 64;  // of blocks and expressions within each other
inline constexpr int kMaxCallDepth = 64;    // of macros that call macros
inline constexpr int kMaxEvalDepth = 1000;  // of all that is being evaluated
inline constexpr int kMaxValueDepth = 96;   // of lists and maps within each other
inline constexpr std::int64_t kMaxRange = 100'000;
inline constexpr std::int64_t kOperations = 500'000;
inline constexpr std::int64_t kOperationsPerMessage = 1'000;
inline constexpr std::int64_t kOutputBytes = std::int64_t{1} << 20;
inline constexpr std::int64_t kOutputPerByte = 4;
inline constexpr std::int64_t kMadeBytes = std::int64_t{8} << 20;
inline constexpr std::int64_t kMadePerByte = 32;
inline constexpr std::int64_t kReadBytes = std::int64_t{64} << 20;
inline constexpr std::int64_t kReadPerByte = 256;

class Fuel final {
 public:
  Fuel(std::int64_t messages, std::int64_t bytes)
      : operations_(kOperations + kOperationsPerMessage * messages),
        made_(kMadeBytes + kMadePerByte * bytes),
        read_(kReadBytes + kReadPerByte * bytes),
        output_(kOutputBytes + kOutputPerByte * bytes) {}

  void spend(std::size_t operations = 1) {
    take(operations_, operations, "The chat template ran for too long.");
  }
  void make(std::size_t bytes) { take(made_, bytes, "The chat template made too much text."); }
  void read(std::size_t bytes) { take(read_, bytes, "The chat template read too much text."); }
  void output(std::size_t bytes) {
    take(output_, bytes, "The chat template's output is too long.");
  }
  [[nodiscard]] std::int64_t operations_left() const { return operations_; }

 private:
  static void take(std::int64_t& left, std::size_t amount, const char* message) {
    if (amount > static_cast<std::uint64_t>(left)) {
      throw TemplateError(TemplateError::Kind::kFuel, message);
    }
    left -= static_cast<std::int64_t>(amount);
  }

  std::int64_t operations_;
  std::int64_t made_;
  std::int64_t read_;
  std::int64_t output_;
};

}  // namespace quire::engine::jinja
