#include "server/shutdown.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

#include "proto/check.h"

namespace quire::server {
namespace {

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  return set;
}

}  // namespace

void Shutdown::block_signals() {
  const sigset_t set = watched_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

Shutdown::Shutdown(std::function<void(int)> on_terminate, std::function<void()> on_hangup)
    : on_terminate_(std::move(on_terminate)),
      on_hangup_(std::move(on_hangup)),
      stop_fd_(eventfd(0, EFD_CLOEXEC)),
      watcher_([this] { watch(); }) {
  CHECK_GE(stop_fd_, 0);
}

Shutdown::~Shutdown() {
  const std::uint64_t one = 1;
  CHECK_EQ(write(stop_fd_, &one, sizeof one), static_cast<ssize_t>(sizeof one));
  watcher_.join();
  close(stop_fd_);
}

void Shutdown::watch() {
  const sigset_t set = watched_signals();
  const int signals = signalfd(-1, &set, SFD_CLOEXEC);
  CHECK_GE(signals, 0);
  pollfd ready[] = {{signals, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
  while (true) {
    if (poll(ready, 2, -1) < 0) continue;
    if (ready[1].revents != 0) break;
    signalfd_siginfo info{};
    if (read(signals, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) continue;
    if (info.ssi_signo == SIGHUP) {
      on_hangup_();
      continue;
    }
    on_terminate_(terminations() + 1);
    const std::lock_guard lock(mutex_);
    ++terminations_;
    changed_.notify_all();
  }
  close(signals);
}

void Shutdown::fail(std::string why) {
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = std::move(why);
  changed_.notify_all();
}

void Shutdown::wait(int count, std::optional<std::chrono::steady_clock::time_point> deadline) {
  std::unique_lock lock(mutex_);
  const auto over = [this, count] { return terminations_ >= count || failure_; };
  if (deadline) {
    changed_.wait_until(lock, *deadline, over);
  } else {
    changed_.wait(lock, over);
  }
}

int Shutdown::terminations() const {
  const std::lock_guard lock(mutex_);
  return terminations_;
}

std::optional<std::string> Shutdown::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace quire::server
