#include "server/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/request_times.h"

namespace quire::server {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// Collects families; every metric carries the model's name.
class Page final {
 public:
  explicit Page(std::string_view model_name) : model_{{"model_name", std::string(model_name)}} {}

  void gauge(const char* name, const char* help, double value, Labels labels = {}) {
    ClientMetric& metric = add(name, help, MetricType::Gauge, std::move(labels));
    metric.gauge.value = value;
  }

  void counter(const char* name, const char* help, std::int64_t value, Labels labels = {}) {
    ClientMetric& metric = add(name, help, MetricType::Counter, std::move(labels));
    metric.counter.value = static_cast<double>(value);
  }

  void histogram(const char* name, const char* help, const engine::Histogram& measured) {
    ClientMetric::Histogram& out = add(name, help, MetricType::Histogram, {}).histogram;
    for (std::size_t i = 0; i <= measured.bounds().size(); ++i) {
      out.sample_count += static_cast<std::uint64_t>(measured.count(i));
      out.bucket.push_back({.cumulative_count = out.sample_count,
                            .upper_bound = i < measured.bounds().size()
                                               ? measured.bounds()[i]
                                               : std::numeric_limits<double>::infinity()});
    }
    out.sample_sum = measured.sum();
  }

  [[nodiscard]] std::string text() const {
    return prometheus::TextSerializer().Serialize(families_);
  }

 private:
  // Metrics of one family come one after the other.
  ClientMetric& add(const char* name, const char* help, MetricType type, Labels labels) {
    if (families_.empty() || families_.back().name != name) {
      families_.push_back({.name = name, .help = help, .type = type, .metric = {}});
    }
    ClientMetric& metric = families_.back().metric.emplace_back();
    metric.label = model_;
    metric.label.insert(metric.label.end(), labels.begin(), labels.end());
    return metric;
  }

  Labels model_;
  std::vector<MetricFamily> families_;
};

double used_share(const engine::EngineStatus& status) {
  return status.total_blocks == 0 ? 0.0
                                  : 1.0 - static_cast<double>(status.free_blocks) /
                                              static_cast<double>(status.total_blocks);
}

void add_state(Page& page, const engine::EngineStatus& status, const engine::ModelInfo& info) {
  page.gauge("vllm:num_requests_running", "Sequences in the running batch", status.running);
  page.gauge("vllm:num_requests_waiting", "Sequences that wait to run", status.waiting);
  page.gauge("vllm:kv_cache_usage_perc", "Share of the KV blocks that are held, 0 to 1",
             used_share(status));
  page.gauge("vllm:cache_config_info", "The KV cache's shape", 1,
             {{"block_size", std::to_string(info.block_size)},
              {"num_gpu_blocks", std::to_string(info.num_blocks)}});
  page.gauge("quire_kv_blocks", "Blocks of the pool", status.total_blocks);
  page.gauge("quire_kv_blocks_free", "Blocks that nothing holds", status.free_blocks);
  const auto by_group = [&page](const char* name, const char* help, const auto& slots) {
    for (std::size_t g = 0; g < slots.size(); ++g) {
      page.gauge(name, help, static_cast<double>(slots[g]), {{"group", std::to_string(g)}});
    }
  };
  by_group("quire_kv_slots_held", "Tokens that held blocks have room for, by group of layers",
           status.slots_held);
  by_group("quire_kv_slots_wasted", "Of these, those that hold no token", status.slots_wasted);
  page.gauge("quire_kv_bytes", "Bytes of the pool", static_cast<double>(info.kv_bytes));
  page.gauge("quire_weight_bytes", "Bytes of the packed weights",
             static_cast<double>(info.weight_bytes));
  page.gauge("quire_engine_alive", "1 while the engine runs", status.alive ? 1 : 0);
  page.gauge("quire_engine_heartbeat_age_seconds", "Since the engine's loop last moved",
             static_cast<double>(status.heartbeat_age.count()) / 1e3);
}

void add_counts(Page& page, const engine::EngineStatus& status) {
  page.counter("vllm:prompt_tokens_total", "Prompt tokens of accepted sequences",
               status.prompt_tokens);
  page.counter("vllm:generation_tokens_total", "Tokens generated", status.generation_tokens);
  constexpr const char* kSuccess = "vllm:request_success_total";
  constexpr const char* kSuccessHelp = "Sequences that ended, by reason";
  page.counter(kSuccess, kSuccessHelp, status.requests_stopped, {{"finished_reason", "stop"}});
  page.counter(kSuccess, kSuccessHelp, status.requests_finished - status.requests_stopped,
               {{"finished_reason", "length"}});
  page.counter(kSuccess, kSuccessHelp, status.requests_aborted, {{"finished_reason", "abort"}});
  page.counter("quire_sequences_accepted_total", "Sequences accepted", status.requests_accepted);
  page.counter("quire_sequences_failed_total", "Sequences ended by a fault of the model",
               status.requests_failed);
  page.counter("vllm:num_preemptions_total", "Preemptions", status.num_preemptions);
  page.counter("quire_preemptions_total", "Preemptions, by what became of the pages",
               status.num_preemptions - status.tiers.swaps_out, {{"kind", "recompute"}});
  page.counter("quire_preemptions_total", "Preemptions, by what became of the pages",
               status.tiers.swaps_out, {{"kind", "swap"}});
  page.counter("quire_steps_total", "Steps of the engine", status.num_steps);
}

void add_cache(Page& page, const cache::CacheStats& stats) {
  page.counter("vllm:prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache",
               stats.queried_tokens);
  page.counter("vllm:prefix_cache_hits_total", "Prompt tokens found in the prefix cache",
               stats.hit_tokens);
  page.counter("quire_prefix_hits_total", "Sequences that began with cached pages", stats.hits);
  page.counter("quire_prefix_partial_hits_total", "Of these, with a page equal in part",
               stats.partial_hits);
  page.counter("quire_forks_total", "Sequences that shared a running one's pages", stats.forks);
  page.counter("quire_page_copies_total", "Pages copied on write", stats.copies);
  page.counter("quire_page_evictions_total", "Cached pages whose blocks were reused",
               stats.evictions);
}

void add_tiers(Page& page, const engine::EngineStatus& status) {
  for (const cache::TierCount& count : cache::kTierCounts) {
    const std::string name = "quire_tier_" + std::string(count.name) + "_total";
    page.counter(name.c_str(), count.help, status.tiers.*count.member);
  }
  page.gauge("quire_host_tier_spans", "Spans of the host tier, by state", status.host_slots_used,
             {{"state", "used"}});
  page.gauge("quire_host_tier_spans", "Spans of the host tier, by state",
             status.host_slots - status.host_slots_used, {{"state", "free"}});
  const std::pair<const char*, const engine::TierCounts&> stores[] = {{"disk", status.disk},
                                                                      {"remote", status.remote}};
  using Counts = engine::TierCounts;
  const std::tuple<const char*, const char*, std::int64_t Counts::*> counters[] = {
      {"quire_store_hits_total", "Records read", &Counts::hits},
      {"quire_store_misses_total", "Records asked for and not there", &Counts::misses},
      {"quire_store_writes_total", "Records written", &Counts::writes},
      {"quire_store_failures_total", "Reads and writes that failed", &Counts::failures},
      {"quire_store_corrupt_total", "Records that were not as they were written", &Counts::corrupt},
      {"quire_store_bytes_read_total", "Bytes read", &Counts::bytes_read},
      {"quire_store_bytes_written_total", "Bytes written", &Counts::bytes_written}};
  for (const auto& [name, help, member] : counters) {
    for (const auto& [store, counts] : stores) {
      page.counter(name, help, counts.*member, {{"store", store}});
    }
  }
  page.gauge("quire_disk_tier_records", "Records in the disk tier's file",
             static_cast<double>(status.disk.records));
}

void add_times(Page& page, const engine::RequestHistograms& times) {
  page.histogram("vllm:time_to_first_token_seconds", "From arrival to the first token",
                 times.time_to_first_token);
  page.histogram("vllm:inter_token_latency_seconds", "Between two tokens of a sequence",
                 times.inter_token_latency);
  page.histogram("vllm:request_time_per_output_token_seconds", "Mean gap of a whole sequence",
                 times.time_per_output_token);
  page.histogram("vllm:e2e_request_latency_seconds", "From arrival to the end", times.end_to_end);
  page.histogram("vllm:request_queue_time_seconds", "From arrival to the first step",
                 times.queue_time);
  page.histogram("vllm:request_prefill_time_seconds", "From the first step to the first token",
                 times.prefill_time);
  page.histogram("vllm:request_decode_time_seconds", "From the first token to the last",
                 times.decode_time);
  page.histogram("vllm:request_prompt_tokens", "Prompt tokens of a sequence", times.prompt_tokens);
  page.histogram("vllm:request_generation_tokens", "Tokens generated for a sequence",
                 times.generation_tokens);
  page.histogram("vllm:iteration_tokens_total", "Tokens computed in a step", times.step_tokens);
  page.histogram("quire_cancel_to_free_seconds", "From a client's leaving to its blocks being free",
                 times.cancel_to_free);
  page.gauge("quire_largest_token_gap_seconds", "The longest that a client waited for a next token",
             times.largest_gap);
}

// Resident bytes, from /proc/self/statm; 0 where it cannot be read.
double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t size = 0;
  std::int64_t resident = 0;
  if (!(statm >> size >> resident)) return 0;
  return static_cast<double>(resident * sysconf(_SC_PAGESIZE));
}

}  // namespace

std::string metrics_text(std::string_view model_name, const engine::Engine* engine) {
  Page page(model_name);
  page.gauge("quire_build_info", "The version", 1, {{"version", QUIRE_VERSION}});
  page.gauge("process_resident_memory_bytes", "Memory of the process", resident_bytes());
  if (engine != nullptr) {
    const engine::EngineStatus status = engine->status();
    add_state(page, status, engine->info());
    add_counts(page, status);
    add_cache(page, status.cache);
    add_tiers(page, status);
    add_times(page, engine->times());
  }
  return page.text();
}

}  // namespace quire::server
