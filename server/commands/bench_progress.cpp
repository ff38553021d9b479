#include "server/commands/bench_progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

namespace quire::server {
namespace {

constexpr double kLineEvery = 5.0;  // seconds
constexpr std::size_t kBarWidth = 20;

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
      static_cast<double>(progress.texts - texts_) / std::max(progress.seconds - seconds_, 1e-9);
  texts_ = progress.texts;
  seconds_ = progress.seconds;
  const std::size_t filled = progress.done * kBarWidth / std::max<std::size_t>(num_requests_, 1);
  const std::string bar = std::string(filled, '#') + std::string(kBarWidth - filled, '.');
  // \033[K clears what a longer line before has left.
  std::fprintf(stderr,
               "%s[%s] %zu/%zu, %zu failed, %zu running, %zu waiting, %.0f tok/s, TTFT %.0f ms, "
               "%.1f s%s",
               terminal_ ? "\r" : "", bar.c_str(), progress.done, num_requests_, progress.failed,
               progress.running, progress.waiting, rate, progress.recent_ttft * 1000,
               progress.seconds, terminal_ ? "\033[K" : "\n");
  std::fflush(stderr);
  shown_ = true;
}

void ProgressLine::end() {
  if (terminal_ && shown_) std::fputc('\n', stderr);
}

}  // namespace quire::server
