#pragma once
// ProgressLine tells on stderr how a run goes: one line rewritten in place on a terminal, a plain
// line every five seconds elsewhere. Lifetime: one per run. One thread.

#include <cstddef>

#include "server/commands/bench_client.h"

namespace quire::server {

class ProgressLine final {
 public:
  explicit ProgressLine(std::size_t num_requests);
  void show(const LoadProgress& progress);
  void end();  // leaves the last line standing

 private:
  std::size_t num_requests_;
  bool terminal_;
  bool shown_ = false;
  std::size_t texts_ = 0;  // at the line before, and when that was
  double seconds_ = 0;
  double next_line_ = 5.0;  // seconds; not on a terminal
};

}  // namespace quire::server
