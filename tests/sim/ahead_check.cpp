#include "tests/sim/ahead_check.h"

#include <algorithm>

#include "tests/sim/violation.h"

namespace quire::sim {
namespace {

using scheduler::Sequence;
using scheduler::SequenceState;
using scheduler::StepRow;
using scheduler::StepSample;

// The token in flight is its last.
bool is_at_its_end(const Sequence& sequence) {
  return sequence.num_output_tokens() + 1 == sequence.params.max_tokens;
}

}  // namespace

std::vector<AheadCheck::Place> AheadCheck::places_of(const Core& core) {
  std::vector<Place> places;
  for (const Sequence* sequence : core.scheduler.sequences()) {
    places.push_back({.sequence = sequence->id,
                      .state = sequence->state,
                      .paused = sequence->paused,
                      .num_tokens = sequence->num_tokens(),
                      .num_computed = sequence->num_computed_tokens});
  }
  std::ranges::sort(places, {}, &Place::sequence);
  return places;
}

void AheadCheck::before(const Core& core) { places_ = places_of(core); }

void AheadCheck::after_no(const Core& core) const {
  require(places_of(core) == places_, "a no moved someone");
}

void AheadCheck::after(const Core& core, scheduler::Clock::time_point now) const {
  require(places_of(core) == places_, "planning ahead moved someone");
  require(core.next.step_id == StepId{static_cast<std::uint64_t>(core.plan.step_id) + 1},
          "a step ahead without the next number");
  require(!core.next.rows.empty(), "a step ahead of nothing");
  require(core.next.copies.empty() && core.plan.copies.empty(), "a step ahead among copies");
  require(core.cache.copies().empty(), "a step ahead while copies are due");
  check_waiting_copies(core);
  const auto& in_flight = core.plan;
  require(core.next.samples.size() == core.next.rows.size() &&
              core.next.tokens.size() == core.next.rows.size(),
          "a row ahead that is not one choice");
  for (const StepSample& sample : in_flight.samples) {
    require(sample.target == kNoToken, "a step ahead of one that scores");
  }
  for (std::size_t row = 0; row < core.next.rows.size(); ++row) check_row(core, row);
  check_all_go_on(core);
  const auto deadline = core.scheduler.next_deadline();
  require(!deadline || *deadline > now, "a deadline came, and a step was planned ahead");
  for (const Sequence* sequence : core.scheduler.sequences()) {
    if (sequence->reads == cache::kNoTicket) continue;
    require(core.cache.is_reading(sequence->reads) && sequence->reads_until > now,
            "a step ahead though pages have come", sequence->id);
  }
}

// What is to go out later is written by neither step before it does.
void AheadCheck::check_waiting_copies(const Core& core) const {
  std::vector<BlockId> sources;
  for (const cache::BlockCopy& copy : core.cache.copies_out()) sources.push_back(copy.from);
  if (sources.empty()) return;
  require(2 * sources.size() <= core.host.written_for.size(),
          "half of host memory waits for pages");
  for (const scheduler::StepPlan* plan : {&core.plan, &core.next}) {
    for (const StepRow& row : plan->rows) {
      const Sequence* const sequence = find(core, row.sequence);
      if (sequence == nullptr) continue;
      for (std::size_t g = 0; g < scenario_.groups.size(); ++g) {
        const auto at =
            static_cast<std::size_t>(row.first_position / scenario_.groups[g].block_size);
        const BlockId written = sequence->blocks.table(g).blocks()[at];
        require(std::ranges::find(sources, written) == sources.end(),
                "a page is written before it went out", row.sequence);
      }
    }
  }
}

void AheadCheck::check_row(const Core& core, std::size_t row) const {
  const StepRow& ahead = core.next.rows[row];
  const StepSample& sample = core.next.samples[row];
  const Sequence* const sequence = find(core, ahead.sequence);
  require(sequence != nullptr, "row ahead of one that is gone", ahead.sequence);
  require(ahead.source_sample >= 0 &&
              ahead.source_sample < static_cast<std::int32_t>(core.plan.samples.size()),
          "row ahead of no sample", ahead.sequence);
  const StepSample& source = core.plan.samples[static_cast<std::size_t>(ahead.source_sample)];
  const StepRow& before = core.plan.rows[static_cast<std::size_t>(source.row)];
  require(before.sequence == ahead.sequence, "row ahead of another's sample", ahead.sequence);
  require(before.first_position == sequence->num_computed_tokens,
          "row ahead of one that is to be computed again", ahead.sequence);
  require(ahead.num_tokens == 1 && ahead.first_position == before.context_len &&
              ahead.first_position == source.position &&
              ahead.context_len == before.context_len + 1,
          "row ahead is not the next token", ahead.sequence);
  require(core.next.tokens[row] == kNoToken, "row ahead with a token", ahead.sequence);
  require(static_cast<std::size_t>(sample.row) == row && sample.offset == 0 &&
              sample.target == kNoToken && sample.position == ahead.context_len,
          "row ahead with another sample", ahead.sequence);
  require(std::ranges::equal(sample.history, sequence->tokens), "row ahead with another history",
          ahead.sequence);
  require(
      sample.mask_end_tokens == (sequence->num_output_tokens() + 1 < sequence->params.min_tokens),
      "row ahead with the wrong mask", ahead.sequence);
  require(!is_at_its_end(*sequence), "row ahead of one that is at its end", ahead.sequence);
}

// Whoever runs is in the step in flight, and in the next unless that is its last.
void AheadCheck::check_all_go_on(const Core& core) const {
  const auto has_row = [](const scheduler::StepPlan& plan, SequenceId id) {
    return std::ranges::find(plan.rows, id, &StepRow::sequence) != plan.rows.end();
  };
  for (const Sequence* sequence : core.scheduler.sequences()) {
    if (sequence->state != SequenceState::kRunning || sequence->paused) continue;
    require(has_row(core.plan, sequence->id), "one that runs was left out", sequence->id);
    require(has_row(core.next, sequence->id) != is_at_its_end(*sequence),
            "one that runs does not go on", sequence->id);
  }
}

}  // namespace quire::sim
