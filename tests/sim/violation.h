#pragma once
// Violation: something that must never happen, happened. main catches it and prints the seed.

#include <cstdio>
#include <stdexcept>
#include <string>

#include "proto/types.h"

namespace quire::sim {

class Violation final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Says what is wrong at once: a broken core may abort while the exception passes through it.
[[noreturn]] inline void violate(const std::string& what) {
  std::fprintf(stderr, "sim: %s\n", what.c_str());
  throw Violation(what);
}

inline void require(bool condition, const char* what) {
  if (!condition) violate(what);
}
inline void require(bool condition, const char* what, SequenceId id) {
  if (condition) return;
  violate(std::string(what) + " (sequence " + std::to_string(static_cast<std::uint64_t>(id)) + ")");
}

}  // namespace quire::sim
