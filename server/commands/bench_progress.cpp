#include "server/commands/bench_progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace quire::server {
namespace {

constexpr double kLineEvery = 5.0;  // seconds

}  // namespace

ProgressLine::ProgressLine(std::size_t num_requests)
    : num_requests_(num_requests), terminal_(isatty(STDERR_FILENO) == 1) {}

void ProgressLine::show(const LoadProgress& progress) {
  const bool last = progress.done == num_requests_;
  if (!terminal_ && !last) {
    if (progress.seconds < next_line_) return;
    next_line_ = progress.seconds + kLineEvery;
  }
  const double rate =
      static_cast<double>(progress.completion_tokens) / std::max(progress.seconds, 1e-9);
  // \033[K clears what a longer line before has left.
  std::fprintf(stderr, "%s%zu/%zu done, %zu failed, %zu in flight, %.0f output tok/s, %.1f s%s",
               terminal_ ? "\r" : "", progress.done, num_requests_, progress.failed,
               progress.in_flight, rate, progress.seconds, terminal_ ? "\033[K" : "\n");
  std::fflush(stderr);
  shown_ = true;
}

void ProgressLine::end() {
  if (terminal_ && shown_) std::fputc('\n', stderr);
}

}  // namespace quire::server
