#include "server/page_feed.h"

#include <algorithm>
#include <chrono>

#include "engine/request_times.h"
#include "proto/json_writer.h"
#include "proto/page_json.h"

namespace quire::server {
namespace {

void write_histogram(proto::JsonWriter& json, const char* name, const engine::Histogram& measured) {
  json.key(name).begin_array();
  for (std::size_t i = 0; i <= measured.bounds().size(); ++i) json.integer(measured.count(i));
  json.end_array();
}

void write_bounds(proto::JsonWriter& json, const char* name, const engine::Histogram& measured) {
  json.key(name).begin_array();
  for (const double bound : measured.bounds()) json.number(static_cast<float>(bound));
  json.end_array();
}

// What the page draws beside the map; counts are since start.
std::string stats_text(const engine::Engine& engine) {
  const engine::EngineStatus status = engine.status();
  const engine::RequestHistograms& times = engine.times();
  std::string out;
  proto::JsonWriter json(out);
  json.begin_object();
  json.key("running").integer(status.running).key("waiting").integer(status.waiting);
  json.key("free_blocks").integer(status.free_blocks);
  json.key("prompt_tokens").integer(status.prompt_tokens);
  json.key("generation_tokens").integer(status.generation_tokens);
  json.key("preemptions").integer(status.num_preemptions);
  json.key("queried_tokens").integer(status.cache.queried_tokens);
  json.key("hit_tokens").integer(status.cache.hit_tokens);
  json.key("copies").integer(status.cache.copies);
  json.key("evictions").integer(status.cache.evictions);
  write_bounds(json, "ttft_bounds", times.time_to_first_token);
  write_histogram(json, "ttft", times.time_to_first_token);
  write_bounds(json, "itl_bounds", times.inter_token_latency);
  write_histogram(json, "itl", times.inter_token_latency);
  json.end_object();
  return out;
}

}  // namespace

bool PageFeed::enter() {
  const std::lock_guard lock(mutex_);
  if (num_watchers_ == kMaxWatchers) return false;
  ++num_watchers_;
  return true;
}

void PageFeed::leave() {
  const std::lock_guard lock(mutex_);
  if (--num_watchers_ > 0) return;
  snapshot_.reset();  // nobody is left who could use a change
  change_.reset();
  all_.reset();
}

PageFeed::Event PageFeed::next(engine::Engine& engine, std::uint64_t seen) {
  const std::lock_guard lock(mutex_);
  const engine::PageWatch::Version newest = engine.pages().latest();
  if (newest.number == seen || newest.snapshot == nullptr) return {};
  if (newest.number != version_ || snapshot_ == nullptr) encode(engine, newest);
  if (seen != 0 && seen == previous_ && change_ != nullptr) {
    return {.version = version_, .text = change_};
  }
  if (all_ == nullptr) {
    all_ = std::make_shared<std::string>(proto::page_event(nullptr, *snapshot_, version_, stats_));
  }
  return {.version = version_, .text = all_};
}

void PageFeed::encode(engine::Engine& engine, const engine::PageWatch::Version& newest) {
  stats_ = stats_text(engine);
  all_.reset();
  change_.reset();
  if (snapshot_ != nullptr) {
    change_ = std::make_shared<std::string>(
        proto::page_event(snapshot_.get(), *newest.snapshot, newest.number, stats_));
    const std::chrono::milliseconds fill(static_cast<std::int64_t>(change_->size()) * 1000 /
                                         kMaxBytesPerSecond);
    engine.pages().set_interval(std::max(engine::PageWatch::kInterval, fill));
  }
  previous_ = version_;
  version_ = newest.number;
  snapshot_ = newest.snapshot;
}

}  // namespace quire::server
