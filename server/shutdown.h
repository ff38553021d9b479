#pragma once
// Shutdown: what ends the daemon, brought together in one place: signals and the engine's failure.
//
// block_signals() first, before any thread is made, so that all threads leave the signals to the
// watcher. wait() is the main thread's; everything else may come from any thread.
// 1. Each SIGTERM or SIGINT is counted; SIGHUP calls its handler on the watcher's thread.
// 2. fail() is taken once; it wins over signals.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace quire::server {

class Shutdown final {
 public:
  static void block_signals();

  // on_terminate: called before a termination is counted, with its number (from 1).
  Shutdown(std::function<void(int)> on_terminate, std::function<void()> on_hangup);
  ~Shutdown();
  Shutdown(const Shutdown&) = delete;
  Shutdown& operator=(const Shutdown&) = delete;

  // The engine has failed.
  void fail(std::string why);
  // Until `count` terminations have come, a failure, or the deadline.
  void wait(int count, std::optional<std::chrono::steady_clock::time_point> deadline = {});
  [[nodiscard]] int terminations() const;
  [[nodiscard]] std::optional<std::string> failure() const;

 private:
  void watch();

  std::function<void(int)> on_terminate_;
  std::function<void()> on_hangup_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int terminations_ = 0;
  std::optional<std::string> failure_;
  int stop_fd_;
  std::thread watcher_;
};

}  // namespace quire::server
