#pragma once
// PageFeed: the events of GET /pages?stream=1, made once for all who watch.
//
// Any I/O thread. A watcher that has the version before gets what changed, one that is new or was
// too slow gets everything. Long events make the next ones rarer for all: what a watcher receives
// stays below kMaxBytesPerSecond.
// Cost: one comparison of the states and one text per version, however many watch.

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "engine/engine.h"
#include "engine/page_watch.h"

namespace quire::server {

class PageFeed final {
 public:
  static constexpr std::int64_t kMaxBytesPerSecond = 150'000;
  static constexpr int kMaxWatchers = 256;  // a wall of screens; each costs a connection

  struct Event {
    std::uint64_t version = 0;
    std::shared_ptr<const std::string> text;  // null: nothing is newer
  };

  // False: there are too many. leave() for each that entered.
  [[nodiscard]] bool enter();
  void leave();
  // What brings a watcher that has seen version `seen` (0: none) up to date.
  [[nodiscard]] Event next(engine::Engine& engine, std::uint64_t seen);

 private:
  void encode(engine::Engine& engine, const engine::PageWatch::Version& newest);

  std::mutex mutex_;
  int num_watchers_ = 0;
  std::uint64_t version_ = 0;
  std::uint64_t previous_ = 0;  // the version that change_ starts from
  std::shared_ptr<const PageSnapshot> snapshot_;
  std::shared_ptr<const std::string> change_;
  std::shared_ptr<const std::string> all_;  // made when first asked for
  std::string stats_;
};

}  // namespace quire::server
