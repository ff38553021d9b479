#include "tests/sim/prefix_check.h"

#include <algorithm>

#include "tests/sim/violation.h"

namespace quire::sim {
namespace {

using scheduler::Sequence;
using scheduler::SequenceState;

bool is_seated(const Sequence& sequence) { return sequence.state == SequenceState::kRunning; }

}  // namespace

PrefixCheck::PrefixCheck(const Scenario& scenario)
    : scenario_(scenario),
      applies_(scenario.groups.size() == 1 && scenario.groups[0].window == 0),
      span_(scenario.groups[0].block_size),
      content_of_(static_cast<std::size_t>(scenario.num_blocks), kUnknown) {}

const std::vector<PrefixCheck::Content>& PrefixCheck::contents_of(const Sequence& sequence) {
  std::vector<Content>& contents = contents_[sequence.id];
  const auto size = static_cast<std::size_t>(span_);
  while ((contents.size() + 1) * size <= sequence.tokens.size()) {
    Content content = contents.empty() ? fold(fold(kNoEntry, sequence.salt.high), sequence.salt.low)
                                       : contents.back();
    for (std::size_t i = contents.size() * size; i < (contents.size() + 1) * size; ++i) {
      content = fold(content, static_cast<std::uint64_t>(sequence.tokens[i]));
    }
    contents.push_back(content);
  }
  return contents;
}

// A block that someone has yet to fill stands for nothing.
void PrefixCheck::note_contents(const Core& core) {
  for (const Sequence* sequence : core.scheduler.sequences()) {
    if (!is_seated(*sequence)) continue;
    const auto& contents = contents_of(*sequence);
    const auto blocks = sequence->blocks.table(0).blocks();
    const auto full = static_cast<std::size_t>(sequence->num_computed_tokens / span_);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      content_of_[static_cast<std::size_t>(blocks[i])] = i < full ? contents[i] : kUnknown;
    }
  }
}

std::vector<BlockId> PrefixCheck::cached_beginning(const Core& core, const Sequence& sequence) {
  std::unordered_map<Content, BlockId> cached;
  for (std::int32_t b = 0; b < scenario_.num_blocks; ++b) {
    const Content content = content_of_[static_cast<std::size_t>(b)];
    if (content != kUnknown && core.cache.is_cached(BlockId{b}))
      cached.emplace(content, BlockId{b});
  }
  const auto& contents = contents_of(sequence);
  std::vector<BlockId> beginning;
  for (std::int32_t end = span_; end <= sequence.num_reusable_tokens(); end += span_) {
    const auto block = cached.find(contents[beginning.size()]);
    if (block == cached.end()) break;
    beginning.push_back(block->second);
  }
  return beginning;
}

// Were those that are paused without blocks.
bool PrefixCheck::could_start(const Core& core, const Sequence& sequence) {
  std::vector<bool> held(content_of_.size());
  std::int64_t free = scenario_.num_blocks;
  std::int32_t seats = scenario_.scheduler.max_num_seqs;
  for (const Sequence* other : core.scheduler.sequences()) {
    if (!is_seated(*other) || other->paused) continue;
    --seats;
    free -= other->blocks.num_reserved();
    for (const BlockId block : other->blocks.table(0).blocks()) {
      if (!held[static_cast<std::size_t>(block)]) --free;
      held[static_cast<std::size_t>(block)] = true;
    }
  }
  const bool promised = sequence.num_preemptions >= scenario_.scheduler.max_preemptions;
  const std::int64_t tokens = promised ? sequence.max_total_tokens() : sequence.num_tokens();
  std::int64_t price = (std::max<std::int64_t>(tokens, sequence.num_tokens()) + span_ - 1) / span_;
  for (const BlockId block : cached_beginning(core, sequence)) {
    if (held[static_cast<std::size_t>(block)]) --price;
  }
  return seats > 0 && price <= free;
}

void PrefixCheck::before(const Core& core) {
  if (!applies_) return;
  ran_before_.clear();
  for (const Sequence* sequence : core.scheduler.sequences()) {
    if (is_seated(*sequence)) ran_before_[sequence->id] = sequence->num_preemptions;
  }
}

void PrefixCheck::after_schedule(const Core& core) {
  if (!applies_) return;
  // What is cached now was so when it claimed: in between pages only go.
  for (const scheduler::StepRow& row : core.plan.rows) {
    const Sequence* const sequence = find(core, row.sequence);
    const auto before = ran_before_.find(row.sequence);
    if (before != ran_before_.end() && before->second == sequence->num_preemptions) continue;
    const auto cached = static_cast<std::int32_t>(cached_beginning(core, *sequence).size());
    require(row.first_position >= cached * span_, "it computes again what is cached", row.sequence);
  }
  note_contents(core);
  check_long_prompt(core);
}

// nullptr: nobody, or one of several tenants.
const Sequence* PrefixCheck::next_in_line(const Core& core) {
  const Sequence* first = nullptr;
  for (const Sequence* sequence : core.scheduler.sequences()) {
    if (!waits(*sequence)) continue;
    if (first != nullptr && first->tenant != sequence->tenant) return nullptr;
    if (first == nullptr || scheduler::RunsBefore{}(*sequence, *first)) first = sequence;
  }
  return first;
}

void PrefixCheck::check_long_prompt(const Core& core) {
  const Sequence* const next = next_in_line(core);
  if (next == nullptr || ran_before_.contains(next->id)) return;
  std::int32_t decoding = 0;
  const Sequence* first = nullptr;
  for (const Sequence* s : core.scheduler.sequences()) {
    if (!is_seated(*s) && ran_before_.contains(s->id)) return;  // it gave its blocks too late
    if (!is_seated(*s) || s->paused) continue;
    const auto before = ran_before_.find(s->id);  // one a step: it was this one's turn
    if (before == ran_before_.end() || before->second != s->num_preemptions) return;
    if (s->num_missing_tokens() == 1) {
      ++decoding;
      continue;
    }
    if (s->num_missing_tokens() <= next->num_tokens()) return;
    if (first == nullptr || scheduler::RunsBefore{}(*s, *first)) first = s;
  }
  const std::int32_t left = scenario_.scheduler.max_num_batched_tokens - decoding;
  const std::int32_t bound = scenario_.scheduler.max_num_prefill_tokens;
  const std::int32_t prefill = decoding > 0 && bound > 0 ? std::min(bound, left) : left;
  if (first == nullptr || prefill < 2 || next->priority > first->priority) return;
  if (first->num_missing_tokens() <= prefill) return;
  require(!could_start(core, *next), "a short prompt waits behind a long one", next->id);
}

void PrefixCheck::after_update(const Core& core) {
  if (!applies_) return;
  note_contents(core);
  if (!scenario_.prefix_caching) return;
  for (const scheduler::StepRow& row : core.plan.rows) {
    const Sequence* const sequence = find(core, row.sequence);
    if (sequence == nullptr || !is_seated(*sequence)) continue;
    const auto blocks = sequence->blocks.table(0).blocks();
    const auto& contents = contents_of(*sequence);
    for (std::size_t i = 0; i < static_cast<std::size_t>(sequence->num_computed_tokens / span_);
         ++i) {
      require(core.cache.is_cached(blocks[i]) || distrusted_.contains(contents[i]),
              "what it computed is not cached", row.sequence);
    }
  }
}

void PrefixCheck::distrust(const Sequence& sequence) {
  if (!applies_) return;
  const auto& contents = contents_of(sequence);
  distrusted_.insert(contents.begin(), contents.end());
}

void PrefixCheck::after_ahead(const Core& core) {
  if (!applies_) return;
  note_contents(core);
  const Sequence* const first = next_in_line(core);
  if (first != nullptr)
    require(!could_start(core, *first), "one waits that could start", first->id);
}

}  // namespace quire::sim
