#include "server/address_limits.h"

#include <algorithm>

namespace quire::server {

int AddressConnections::add(const PeerAddress& address) {
  const std::lock_guard lock(mutex_);
  return ++counts_[address];
}

void AddressConnections::remove(const PeerAddress& address) {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(address);
  if (found != counts_.end() && --found->second == 0) counts_.erase(found);
}

bool FailedKeys::note(const PeerAddress& address, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (!windows_.contains(address)) make_room(now);
  Window& window = windows_.try_emplace(address, Window{now}).first->second;
  if (now - window.since >= kWindow) window = {now};
  window.failures = std::min(window.failures + 1, max_failures_ + 1);
  return window.failures > max_failures_;
}

int FailedKeys::seconds_left(const PeerAddress& address, Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  const auto found = windows_.find(address);
  if (found == windows_.end()) return 1;
  const auto left = std::chrono::ceil<std::chrono::seconds>(found->second.since + kWindow - now);
  return static_cast<int>(std::max<std::int64_t>(left.count(), 1));
}

std::size_t FailedKeys::num_addresses() const {
  const std::lock_guard lock(mutex_);
  return windows_.size();
}

void FailedKeys::make_room(Clock::time_point now) {
  if (windows_.size() < kMaxAddresses) return;
  std::erase_if(windows_, [now](const auto& entry) { return now - entry.second.since >= kWindow; });
  if (windows_.size() < kMaxAddresses) return;
  windows_.erase(std::min_element(
      windows_.begin(), windows_.end(),
      [](const auto& a, const auto& b) { return a.second.since < b.second.since; }));
}

}  // namespace quire::server
