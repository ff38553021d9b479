#pragma once
// Result<T>: the value, or an Error that says whose fault it is and which field or file it
// concerns. Used for bad input and bad peers. Broken invariants use CHECK (check.h); "no room now"
// is an optional or a bool; "cannot start" is a StartupError exception.

#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

#include "proto/check.h"

namespace quire {

enum class ErrorCode {
  kInvalidRequest,   // 400
  kUnsupported,      // 400 unsupported_parameter
  kUnauthenticated,  // 401
  kForbidden,        // 403
  kNotFound,         // 404
  kTooLarge,         // 413
  kOverloaded,       // 429
  kUnavailable,      // 503
  kInternal,         // 500
};

// message: a fixed sentence, never an echo of the input, at most 512 bytes.
// param: the field (requests) or file (loading) it concerns; may be empty.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  std::string param = {};
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Invariant: only called when ok().
  [[nodiscard]] T& value() & {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] const T& value() const& {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] T&& value() && {
    CHECK(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // Invariant: only called when !ok().
  [[nodiscard]] const Error& error() const {
    CHECK(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

// The daemon cannot start: one line naming the file and the field; main prints it, exit status 1.
class StartupError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace quire
