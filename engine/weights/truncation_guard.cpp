#include "engine/weights/truncation_guard.h"

#include <unistd.h>

#include "proto/check.h"

namespace quire::engine {
namespace {

// Only async-signal-safe calls; there is no way back, because the reader cannot go on.
extern "C" void end_with_one_line(int) {
  constexpr std::string_view kLine =
      "quire: a weights file in the model folder was truncated while it was being read\n";
  // The process ends whether or not the line could be written.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kLine.data(), kLine.size());
  ::_exit(1);
}

}  // namespace

TruncationGuard::TruncationGuard() {
  struct sigaction action {};
  action.sa_handler = end_with_one_line;
  sigemptyset(&action.sa_mask);
  CHECK(::sigaction(SIGBUS, &action, &before_) == 0);
}

TruncationGuard::~TruncationGuard() { ::sigaction(SIGBUS, &before_, nullptr); }

}  // namespace quire::engine
