#include "tests/sim/ledger.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <numeric>
#include <utility>

#include "tests/sim/uncontended.h"
#include "tests/sim/violation.h"

namespace quire::sim {
namespace {

// A core of its own for every request would be most of the run's time, and says what the rules say.
constexpr std::uint64_t kFreshCoreEvery = 16;

}  // namespace

void Ledger::add(SequenceId id, Request request, Clock::time_point now) {
  ++num_added_;
  Client& client = clients_[id];
  client.request = std::move(request);
  client.arrival_time = now;
}

void Ledger::begin_at(SequenceId id, std::int32_t position) {
  Client& client = clients_.at(id);
  if (client.num_cached < 0) client.num_cached = position;
}

void Ledger::tell(const scheduler::TokenEvent& event, Clock::time_point now) {
  const auto found = clients_.find(event.sequence);
  require(found != clients_.end(), "told something after the end", event.sequence);
  Client& client = found->second;
  client.told.append(event);
  const auto& from = event.reused_tokens.from;
  require(std::accumulate(from.begin(), from.end(), 0) == event.num_cached_tokens,
          "cached tokens come from nowhere", event.sequence);
  require(event.num_cached_tokens == std::max(0, client.num_cached),
          "wrong number of cached tokens", event.sequence);
  if (event.finish == FinishReason::kNone) return;
  check_end(client, event.sequence, now);
  ++(event.finish == FinishReason::kAbort ? num_aborted_ : num_finished_);
  clients_.erase(found);
}

void Ledger::set_paused(SequenceId id, bool paused, Clock::time_point now) {
  Client& client = clients_.at(id);
  if (client.paused == paused) return;
  client.paused = paused;
  client.paused_since = now;
}

void Ledger::abort(SequenceId id) {
  check_beginning(clients_.at(id), id);
  ++num_aborted_;
  clients_.erase(id);
}

void Ledger::finish(SequenceId id) {
  check_beginning(clients_.at(id), id);
  ++num_finished_;
  clients_.erase(id);
}

std::vector<SequenceId> Ledger::in_flight() const {
  std::vector<SequenceId> ids;
  for (const auto& [id, client] : clients_) ids.push_back(id);
  return ids;
}

std::optional<SequenceId> Ledger::any(Random& random) const {
  if (clients_.empty()) return std::nullopt;
  return std::next(clients_.begin(), random.below(static_cast<std::int32_t>(clients_.size())))
      ->first;
}

std::optional<Clock::time_point> Ledger::next_deadline() const {
  std::optional<Clock::time_point> earliest;
  for (const auto& [id, client] : clients_) {
    const Clock::time_point deadline = deadline_of(client);
    if (!earliest || deadline < *earliest) earliest = deadline;
  }
  return earliest;
}

std::int64_t Ledger::work_left() const {
  std::int64_t tokens = 0;
  for (const auto& [id, client] : clients_) {
    tokens +=
        static_cast<std::int64_t>(client.request.prompt.size()) + client.request.params.max_tokens;
  }
  return tokens * (scenario_.scheduler.max_preemptions + 1);
}

void Ledger::check_counters(const scheduler::SchedulerStats& stats) const {
  require(stats.num_finished == num_finished_, "num_finished is wrong");
  require(stats.num_aborted == num_aborted_, "num_aborted is wrong");
  require(stats.running + stats.waiting == static_cast<std::int64_t>(clients_.size()),
          "running + waiting is not what is in flight");
  require(num_added_ == num_finished_ + num_aborted_ + stats.running + stats.waiting,
          "added is not finished + aborted + in flight");
}

Clock::time_point Ledger::deadline_of(const Client& client) const {
  Clock::time_point deadline = client.arrival_time + scenario_.scheduler.request_deadline;
  if (client.request.patience > 0) {
    deadline = std::min(deadline,
                        client.arrival_time + std::chrono::milliseconds(client.request.patience));
  }
  if (!client.paused) return deadline;
  return std::min(deadline, client.paused_since + scenario_.scheduler.stall_timeout);
}

void Ledger::check_beginning(const Client& client, SequenceId id) const {
  const Transcript expected = by_the_rules(client.request, scenario_);
  require(client.told.is_prefix_of(expected), "told other tokens than uncontended", id);
}

void Ledger::check_end(const Client& client, SequenceId id, Clock::time_point now) const {
  if (client.told.finish == FinishReason::kAbort) {
    require(deadline_of(client) <= now, "aborted before its time", id);
    return check_beginning(client, id);
  }
  require(client.told == by_the_rules(client.request, scenario_), "ended other than by the rules",
          id);
  if (static_cast<std::uint64_t>(id) % kFreshCoreEvery != 0) return;
  require(client.told == in_a_fresh_core(client.request, scenario_),
          "ended other than in a fresh core", id);
}

}  // namespace quire::sim
