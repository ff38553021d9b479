#pragma once
// KeyPlaces: how many requests of one key are under way, against one limit for every key.
//
// Any thread; a short lock each. A Place counts one request while it lives; KeyPlaces outlives it.

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace quire::server {

class KeyPlaces final {
 public:
  // 0: any number.
  explicit KeyPlaces(int limit) : limit_(limit) {}

  class Place final {
   public:
    Place() = default;
    Place(Place&& other) noexcept
        : places_(std::exchange(other.places_, nullptr)), key_(std::move(other.key_)) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(places_, other.places_);
      std::swap(key_, other.key_);
      return *this;
    }
    ~Place() {
      if (places_ != nullptr) places_->give_back(key_);
    }

   private:
    friend class KeyPlaces;
    Place(KeyPlaces& places, std::string key) : places_(&places), key_(std::move(key)) {}
    KeyPlaces* places_ = nullptr;
    std::string key_;
  };

  // Nothing: the key has as many as it may.
  [[nodiscard]] std::optional<Place> take(const std::string& key) {
    if (limit_ == 0) return Place();
    const std::lock_guard lock(mutex_);
    int& count = counts_[key];
    if (count >= limit_) return std::nullopt;
    ++count;
    return Place(*this, key);
  }

 private:
  void give_back(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(key);
    if (found != counts_.end() && --found->second == 0) counts_.erase(found);
  }

  const int limit_;
  std::mutex mutex_;
  std::map<std::string, int> counts_;  // of the keys that have any
};

}  // namespace quire::server
