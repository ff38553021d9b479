#pragma once
// QueueShares: what of the engine's places (running and waiting) each key has, so that one key's
// flood leaves room for the others.
//
// Dynamic thresholds (Choudhury and Hahne, 1998): a key may hold at most as many places as are
// free. So one that floods gets half of them, two a third each, and some are always free for who
// comes next; nobody who has a place loses it. Any thread; a short lock each. A Share counts while
// it lives; QueueShares outlives it.
// 1. A key that holds nothing is never refused here (the engine itself may have no room).

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace quire::server {

class QueueShares final {
 public:
  class Share final {
   public:
    Share() = default;
    Share(Share&& other) noexcept
        : shares_(std::exchange(other.shares_, nullptr)),
          key_(std::move(other.key_)),
          count_(other.count_) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(shares_, other.shares_);
      std::swap(key_, other.key_);
      std::swap(count_, other.count_);
      return *this;
    }
    ~Share() { give_back(); }
    void give_back() {
      if (shares_ != nullptr) std::exchange(shares_, nullptr)->give_back(key_, count_);
    }

   private:
    friend class QueueShares;
    Share(QueueShares& shares, std::string key, std::int64_t count)
        : shares_(&shares), key_(std::move(key)), count_(count) {}
    QueueShares* shares_ = nullptr;
    std::string key_;
    std::int64_t count_ = 0;
  };

  // `count` of the `places` there are. Nothing: the key would have more than are free.
  [[nodiscard]] std::optional<Share> take(const std::string& key, std::int64_t count,
                                          std::int64_t places) {
    const std::lock_guard lock(mutex_);
    const auto found = held_.find(key);
    const std::int64_t held = found == held_.end() ? 0 : found->second;
    if (held > 0 && held + count > places - total_) return std::nullopt;
    held_[key] += count;
    total_ += count;
    return Share(*this, key, count);
  }

 private:
  void give_back(const std::string& key, std::int64_t count) {
    const std::lock_guard lock(mutex_);
    total_ -= count;
    const auto found = held_.find(key);
    if (found != held_.end() && (found->second -= count) == 0) held_.erase(found);
  }

  std::mutex mutex_;
  std::map<std::string, std::int64_t> held_;  // by the keys that hold any
  std::int64_t total_ = 0;
};

}  // namespace quire::server
