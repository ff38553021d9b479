#pragma once
// TierStore: the tiers below host memory, and the one thread that reads and writes them.
//
// The engine thread hands it jobs and fetches reports (cache/lower_tier.h has the contract); the
// thread asks the disk first, then the remote store, and writes to both. Reads go before writes,
// and as many as wait go together: the remote store is asked for all of them in one round trip.
// 1. Neither start() nor next_report() waits for I/O: a short lock, never held over a system call.
// 2. After stop() no slot is touched any more; what was not done is reported as failed.
// 3. After construction the engine's side allocates nothing.

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "cache/lower_tier.h"
#include "engine/tiers/disk_slab.h"
#include "engine/tiers/host_pages.h"
#include "engine/tiers/remote_store.h"

namespace quire::engine {

class TierStore final : public cache::LowerTier {
 public:
  // Either store may be null; `host` outlives this.
  TierStore(HostPages& host, std::unique_ptr<DiskSlab> disk, std::unique_ptr<RemoteStore> remote);
  ~TierStore() override;

  [[nodiscard]] bool may_have(const cache::PageKey& key) override;
  [[nodiscard]] bool start(const cache::TierJob& job) override;
  [[nodiscard]] std::optional<cache::TierReport> next_report() override;
  [[nodiscard]] double seconds_per_read() const override { return seconds_per_read_; }

  // Called by the thread when there is something to fetch; set before the first job.
  void set_listener(std::function<void()> listener) { listener_ = std::move(listener); }
  [[nodiscard]] bool has_reports() const;
  // Ends the thread after the batch in hand: at most kMaxBatch reads, each within its time-out.
  void stop();

  [[nodiscard]] TierCounts disk_counts() const;
  [[nodiscard]] TierCounts remote_counts() const;

 private:
  // Jobs at once: reads enough for the prompts of a few sequences; writes few, since the slots wait
  // in host memory anyway.
  static constexpr std::size_t kMaxReads = 512;
  static constexpr std::size_t kMaxWrites = 32;
  // Reads at a time: so many records lie in the remote store's buffer at once.
  static constexpr std::size_t kMaxBatch = 32;

  // A ring of at most `capacity` items.
  template <typename T>
  class Ring {
   public:
    explicit Ring(std::size_t capacity) : items_(capacity) {}
    [[nodiscard]] bool empty() const { return size_ == 0; }
    void push(const T& item) { items_[(first_ + size_++) % items_.size()] = item; }
    T pop() {
      const std::size_t at = first_;
      first_ = (first_ + 1) % items_.size();
      --size_;
      return items_[at];
    }

   private:
    std::vector<T> items_;
    std::size_t first_ = 0, size_ = 0;
  };

  void run();
  // Fills batch_ with what is to be done next: reads, or one write.
  void take_batch();
  void carry_out_batch();
  void read_batch();
  [[nodiscard]] cache::TierReport report_of(const cache::TierJob& job, StoreOutcome outcome,
                                            PageSource source) const;
  [[nodiscard]] cache::TierOutcome write(const cache::TierJob& job);

  HostPages& host_;
  const std::unique_ptr<DiskSlab> disk_;
  const std::unique_ptr<RemoteStore> remote_;
  std::function<void()> listener_;
  std::atomic<double> seconds_per_read_{0.0};

  // The thread's own.
  std::vector<cache::TierJob> batch_;
  std::vector<cache::TierReport> done_;
  std::vector<RemoteRead> remote_reads_;
  std::vector<std::size_t> asked_;  // [remote read]: which of the batch

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  Ring<cache::TierJob> reads_{kMaxReads}, writes_{kMaxWrites};
  Ring<cache::TierReport> reports_{kMaxReads + kMaxWrites};
  std::size_t unreported_reads_ = 0, unreported_writes_ = 0;  // taken, and not fetched yet
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace quire::engine
