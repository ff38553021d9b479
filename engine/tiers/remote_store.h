#pragma once
// RemoteStore: page records in a Valkey or Redis server, so that replicas share pages.
//
// A record's name is "quire:" and its key in hexadecimal digits; the server evicts as it is told to
// (maxmemory-policy allkeys-lru is wise).
//
// read() and write(): the tier thread alone; they block for at most the time-outs. is_up() and the
// counters: any thread.
// 1. After an error nothing is asked for a while: kFirstPause, twice as long each time up to
//    kLongestPause. Serving goes on without it.
// 2. What the server says is checked like any record: it cannot hand out wrong pages by accident. A
//    record that is not right is removed, unless the server does not let this user.

#include <atomic>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/tiers/disk_slab.h"
#include "engine/tiers/page_record.h"
#include "engine/tiers/remote_address.h"
#include "engine/tiers/tier_counters.h"

struct redisContext;
struct redisReply;

namespace quire::engine {

struct RemoteOptions {
  RemoteAddress address;
  RecordShape shape;
  // A server on the same network answers within a millisecond; beyond this, computing is cheaper.
  std::chrono::milliseconds connect_timeout{200};
  std::chrono::milliseconds command_timeout{200};
};

// One record to be read.
struct RemoteRead {
  cache::PageKey key;
  std::span<const TokenId> tokens;
  std::span<std::byte> pages;
  StoreOutcome outcome = StoreOutcome::kAbsent;  // the answer
};

class RemoteStore final {
 public:
  explicit RemoteStore(const RemoteOptions& options);
  ~RemoteStore();
  RemoteStore(const RemoteStore&) = delete;
  RemoteStore& operator=(const RemoteStore&) = delete;

  // It may be asked now.
  [[nodiscard]] bool is_up() const;
  // Asks for all of them in one round trip. Fills `pages` only where the outcome is kDone.
  void read(std::span<RemoteRead> reads);
  [[nodiscard]] StoreOutcome read(const cache::PageKey& key, std::span<const TokenId> tokens,
                                  std::span<std::byte> pages);
  [[nodiscard]] StoreOutcome write(const cache::PageKey& key, std::span<const TokenId> tokens,
                                   std::span<const std::byte> pages);
  [[nodiscard]] const TierCounters& counters() const { return counters_; }

 private:
  static constexpr std::chrono::milliseconds kFirstPause{500};
  static constexpr std::chrono::milliseconds kLongestPause{30000};
  struct Closer {
    void operator()(redisContext* context) const;
    void operator()(redisReply* reply) const;
  };
  using Reply = std::unique_ptr<redisReply, Closer>;
  [[nodiscard]] StoreOutcome take(const redisReply& reply, const RemoteRead& read);
  [[nodiscard]] bool remove_corrupt(std::span<const RemoteRead> reads);

  [[nodiscard]] bool connect();
  [[nodiscard]] bool log_in();
  StoreOutcome fail();

  const RemoteOptions options_;
  std::unique_ptr<redisContext, Closer> context_;
  std::vector<std::byte> record_;
  std::chrono::milliseconds pause_ = kFirstPause;
  std::atomic<std::int64_t> up_again_{0};  // steady clock
  TierCounters counters_;
};

}  // namespace quire::engine
