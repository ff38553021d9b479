#pragma once
// Service: what all connections and handlers share: the engine once it is loaded, the life cycle,
// the limits, the keys, the work pool and the count of requests in flight.
//
// Any thread. Outlives the HTTP server; the engine outlives the HTTP server's connections.
// 1. The phase only moves forward: loading, serving, draining or failed.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/tokenizer/template/chat_template.h"
#include "proto/openai.h"
#include "server/address_limits.h"
#include "server/http.h"
#include "server/key_places.h"
#include "server/keys.h"
#include "server/page_feed.h"
#include "server/queue_shares.h"
#include "server/request_record.h"
#include "server/work_pool.h"

namespace quire::server {

struct ServiceOptions {
  HttpLimits http;
  std::string model_name;                    // what clients call the model
  std::vector<std::string> allowed_origins;  // browsers' pages that may call; none by default
  // Sampling defaults from the model's generation_config.json.
  bool use_generation_config = true;
  proto::RequestLimits request;  // vocab_size is filled when the engine is there

  // A body longer than this is parsed and encoded on the work pool, a shorter one where it arrived.
  std::size_t inline_body_bytes = 64 * 1024;
  std::size_t work_threads = 1;
  // Bodies that wait for the work pool; one more is refused with 429. A lone client has half of
  // them (WorkPool); with 4 MiB each they weigh as much as max_bodies_bytes.
  std::size_t max_work_queue = 128;
  // Of an answer that is not streamed: its tokens times the logprobs of each; 8 bytes each, until
  // all is told. 128 prompts of 2,000 tokens with the 20 best of each are 5 million.
  std::int64_t max_kept_logprobs = 8 << 20;
  // Requests of one key under way at once; 0: any number.
  int max_concurrent_per_key = 0;
  bool log_content = false;  // prompts and outputs in the log
  int max_failed_keys = 20;  // of one address in a minute; then 429 instead of 401
  // The engine is taken for dead when its loop has not moved for this long.
  std::chrono::milliseconds max_heartbeat_age = std::chrono::seconds(5);
};

class Service final {
 public:
  enum class Phase : std::uint8_t { kLoading, kServing, kDraining, kFailed };

  explicit Service(ServiceOptions options);

  [[nodiscard]] const ServiceOptions& options() const { return options_; }
  [[nodiscard]] Keys& keys() { return keys_; }
  [[nodiscard]] BodyBudget& bodies() { return bodies_; }
  [[nodiscard]] WorkPool& work() { return work_; }
  [[nodiscard]] PageFeed& page_feed() { return page_feed_; }
  [[nodiscard]] KeyPlaces& places() { return places_; }
  [[nodiscard]] QueueShares& queue_shares() { return queue_shares_; }
  [[nodiscard]] FailedKeys& failed_keys() { return failed_keys_; }
  [[nodiscard]] RecentRequests& recent() { return recent_; }
  [[nodiscard]] std::int64_t created() const { return created_; }

  // Before set_engine(), if the model has one.
  void set_chat_template(engine::ChatTemplate chat_template) {
    chat_template_.emplace(std::move(chat_template));
  }
  // Null: the model has none. Fixed once the engine is there.
  [[nodiscard]] const engine::ChatTemplate* chat_template() const {
    return chat_template_ ? &*chat_template_ : nullptr;
  }

  // The engine, once; from then on requests are served. It outlives every request.
  void set_engine(engine::Engine& engine);
  // Null while loading.
  [[nodiscard]] engine::Engine* engine() const { return engine_.load(std::memory_order_acquire); }
  [[nodiscard]] Phase phase() const { return phase_; }
  void set_phase(Phase phase);
  // Requests can be served now: what /health says.
  [[nodiscard]] bool healthy() const;
  // What is in flight is ended now: an aborted answer is told as such.
  void begin_abort() { aborting_ = true; }
  [[nodiscard]] bool aborting() const { return aborting_; }

  [[nodiscard]] proto::RequestLimits request_limits() const;
  // How long who comes now waits until it runs, from measured rates; 0 where nobody waits or
  // nothing was measured yet.
  [[nodiscard]] std::chrono::duration<double> expected_wait() const;
  // Seconds until the queue may have room, from the measured output rate; 1 to 60.
  [[nodiscard]] int retry_after() const;
  // The error as an answer; 429 and 503 with Retry-After.
  [[nodiscard]] HttpResponse error_response(const Error& error) const;

  void enter();
  void leave();
  [[nodiscard]] std::int64_t in_flight() const;
  // False: requests were still in flight at the deadline.
  [[nodiscard]] bool wait_idle(std::chrono::steady_clock::time_point deadline);

  // A number for ids, unlike any other of this process; seeds for requests without one.
  [[nodiscard]] std::uint64_t draw();

 private:
  const ServiceOptions options_;
  const std::int64_t created_;
  Keys keys_;
  BodyBudget bodies_;
  PageFeed page_feed_;
  KeyPlaces places_;
  QueueShares queue_shares_;
  FailedKeys failed_keys_;
  RecentRequests recent_;
  std::optional<engine::ChatTemplate> chat_template_;
  std::atomic<engine::Engine*> engine_{nullptr};
  std::atomic<Phase> phase_{Phase::kLoading};
  std::atomic<bool> aborting_{false};
  std::atomic<std::uint64_t> counter_;

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  std::int64_t in_flight_ = 0;

  WorkPool work_;  // last: its jobs use what stands above
};

// Counts one request while it lives.
class InFlight final {
 public:
  explicit InFlight(Service& service) : service_(service) { service_.enter(); }
  ~InFlight() { service_.leave(); }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

 private:
  Service& service_;
};

}  // namespace quire::server
