#pragma once
// TruncationGuard: while one lives, reading a mapped file that another process has truncated ends
// this process with exit status 1 and one line on standard error, instead of a crash by SIGBUS.
//
// Used around loading only (weights are packed once and the files let go), before any other thread
// that might map files runs; not nested. Any SIGBUS of the process counts while it lives.

#include <csignal>
#include <string_view>

namespace quire::engine {

class TruncationGuard final {
 public:
  TruncationGuard();
  ~TruncationGuard();
  TruncationGuard(const TruncationGuard&) = delete;
  TruncationGuard& operator=(const TruncationGuard&) = delete;

 private:
  struct sigaction before_ {};
};

}  // namespace quire::engine
