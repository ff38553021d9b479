#pragma once
// CHECK aborts the process with a message when an invariant of ours is broken; it stays on in
// release builds. A client's input must never reach one: bad input is a Result (error.h).
// DCHECK is the same in builds without NDEBUG and costs nothing elsewhere.

#include <cstdio>
#include <cstdlib>

namespace quire {

[[noreturn]] inline void check_failed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "quire: broken invariant at %s:%d: %s\n", file, line, condition);
  std::fflush(stderr);
  std::abort();
}

// The values of both sides, for comparisons of integers.
[[noreturn]] inline void check_op_failed(const char* file, int line, const char* condition,
                                         long long left, long long right) {
  std::fprintf(stderr, "quire: broken invariant at %s:%d: %s (%lld against %lld)\n", file, line,
               condition, left, right);
  std::fflush(stderr);
  std::abort();
}

}  // namespace quire

#define CHECK(condition)                                                     \
  do {                                                                       \
    if (!(condition)) ::quire::check_failed(__FILE__, __LINE__, #condition); \
  } while (false)

#define QUIRE_CHECK_OP(a, op, b)                                      \
  do {                                                                \
    const auto quire_left = (a);                                      \
    const auto quire_right = (b);                                     \
    if (!(quire_left op quire_right))                                 \
      ::quire::check_op_failed(__FILE__, __LINE__, #a " " #op " " #b, \
                               static_cast<long long>(quire_left),    \
                               static_cast<long long>(quire_right));  \
  } while (false)

#define CHECK_EQ(a, b) QUIRE_CHECK_OP(a, ==, b)
#define CHECK_LE(a, b) QUIRE_CHECK_OP(a, <=, b)
#define CHECK_LT(a, b) QUIRE_CHECK_OP(a, <, b)
#define CHECK_GE(a, b) QUIRE_CHECK_OP(a, >=, b)
#define CHECK_GT(a, b) QUIRE_CHECK_OP(a, >, b)

#ifdef NDEBUG
#define DCHECK(condition) \
  do {                    \
  } while (false)
#else
#define DCHECK(condition) CHECK(condition)
#endif
