#pragma once
// What one address may do: AddressConnections counts its connections, FailedKeys its wrong keys.
//
// Any thread; a short lock each. Neither says anything of an address that has done nothing.
// 1. FailedKeys remembers at most kMaxAddresses: beyond, the address that failed first is
// forgotten.

#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>

#include "server/peer_address.h"

namespace quire::server {

class AddressConnections final {
 public:
  // How many connections the address has, this one included.
  int add(const PeerAddress& address);
  void remove(const PeerAddress& address);

 private:
  std::mutex mutex_;
  std::map<PeerAddress, int> counts_;  // no entry where there is none
};

class FailedKeys final {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kWindow{60};
  static constexpr std::size_t kMaxAddresses = 4096;

  // So many within a window get 401, those beyond 429.
  explicit FailedKeys(int max_failures) : max_failures_(max_failures) {}

  // Notes one more. True: the address had its failures, until its window ends.
  bool note(const PeerAddress& address, Clock::time_point now);
  // Seconds until its window ends, at least 1.
  [[nodiscard]] int seconds_left(const PeerAddress& address, Clock::time_point now) const;
  [[nodiscard]] std::size_t num_addresses() const;

 private:
  struct Window {
    Clock::time_point since;
    int failures = 0;
  };
  void make_room(Clock::time_point now);

  const int max_failures_;
  mutable std::mutex mutex_;
  std::map<PeerAddress, Window> windows_;
};

}  // namespace quire::server
