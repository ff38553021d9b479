#include "cache/tiers.h"

#include <algorithm>

#include "proto/check.h"

namespace quire::cache {

Tiers::Tiers(std::int32_t num_host_slots, std::int32_t span_tokens, ReadPolicy policy,
             LowerTier* lower)
    : host_(num_host_slots, span_tokens),
      span_(static_cast<std::size_t>(span_tokens)),
      policy_(policy),
      lower_(num_host_slots > 0 ? lower : nullptr),
      ticket_of_(static_cast<std::size_t>(num_host_slots), kNoTicket),
      source_of_(static_cast<std::size_t>(num_host_slots), PageSource::kHost) {}

// ---- device and host ----------------------------------------------------------------------------

BlockId Tiers::ready(const PageKey& key, std::span<const TokenId> tokens) const {
  const BlockId slot = host_.find(key, tokens);
  return slot != kNoBlock && host_.is_ready(slot) ? slot : kNoBlock;
}

BlockId Tiers::keep(const PageKey& key, std::span<const TokenId> tokens) {
  if (!enabled()) return kNoBlock;
  const BlockId there = host_.find(key, tokens);
  if (there == kNoBlock) return host_.take(key, tokens);
  host_.touch(there);
  return kNoBlock;
}

void Tiers::kept(BlockId slot) {
  host_.arrived(slot, has_lower());
  source_of_[static_cast<std::size_t>(slot)] = PageSource::kHost;
  ++stats_.host_writes;
}

// What is still on its way from below was computed by someone else.
void Tiers::discard(const PageKey& key, std::span<const TokenId> tokens) {
  const BlockId slot = ready(key, tokens);
  if (slot != kNoBlock) host_.discard(slot);
}

void Tiers::hold(BlockId slot) {
  CHECK(host_.is_ready(slot));
  host_.hold(slot);
  ++stats_.host_reads;
}

// ---- host and below -----------------------------------------------------------------------------

Tiers::Bundle* Tiers::bundle_of(ReadTicket ticket) {
  const auto found = std::ranges::find(bundles_, ticket, &Bundle::ticket);
  return found == bundles_.end() ? nullptr : &*found;
}

bool Tiers::is_pending(ReadTicket ticket) const {
  return ticket != kNoTicket &&
         std::ranges::find(bundles_, ticket, &Bundle::ticket) != bundles_.end();
}

ReadTicket Tiers::request(std::span<const PageKey> keys, std::span<const TokenId> tokens,
                          std::size_t first, std::size_t last) {
  Bundle* const bundle = free_bundle();
  if (!has_lower() || bundle == nullptr) return kNoTicket;
  const ReadTicket ticket{last_ticket_ + 1};
  // What is there already, or a span that is read would take its place; the first to go last.
  for (std::size_t i = last; i-- > 0;) {
    const BlockId slot = host_.find(keys[i], tokens.subspan(i * span_, span_));
    if (slot != kNoBlock) host_.touch(slot);
  }
  // More would evict what it read itself.
  std::size_t left = std::max<std::size_t>(1, static_cast<std::size_t>(host_.num_slots()) / 2);
  for (std::size_t i = first; i < last && left > 0; ++i) {
    const auto span = tokens.subspan(i * span_, span_);
    const BlockId slot = host_.find(keys[i], span);
    if (slot != kNoBlock) {
      if (host_.is_ready(slot)) continue;
      // Others are bringing it. What was started here comes by itself.
      return ticket_of_[static_cast<std::size_t>(slot)];
    }
    if (!start_read(keys[i], span, ticket)) break;
    if (bundle->outstanding++ == 0) {
      bundle->ticket = ticket;
      ++last_ticket_;
    }
    --left;
  }
  return bundle->ticket;
}

bool Tiers::start_read(const PageKey& key, std::span<const TokenId> tokens, ReadTicket ticket) {
  if (!lower_->may_have(key)) return false;
  const BlockId slot = host_.take(key, tokens);
  if (slot == kNoBlock) return false;
  if (!lower_->start(
          {.kind = TierJobKind::kRead, .slot = slot, .key = key, .tokens = host_.tokens(slot)})) {
    host_.failed(slot);
    return false;
  }
  ticket_of_[static_cast<std::size_t>(slot)] = ticket;
  ++jobs_under_way_;
  return true;
}

void Tiers::finish_read(const TierReport& report) {
  ReadTicket& ticket = ticket_of_[static_cast<std::size_t>(report.slot)];
  Bundle* const bundle = bundle_of(ticket);
  CHECK(ticket != kNoTicket && bundle != nullptr);
  if (--bundle->outstanding == 0) bundle->ticket = kNoTicket;
  ticket = kNoTicket;
  if (report.outcome == TierOutcome::kDone) {
    ++stats_.lower_reads;
    source_of_[static_cast<std::size_t>(report.slot)] = report.source;
    return host_.arrived(report.slot, false);
  }
  ++(report.outcome == TierOutcome::kAbsent ? stats_.lower_misses : stats_.lower_read_failures);
  host_.failed(report.slot);
}

void Tiers::poll() {
  if (!has_lower()) return;
  while (const std::optional<TierReport> report = lower_->next_report()) {
    --jobs_under_way_;
    if (report->kind == TierJobKind::kRead) {
      finish_read(*report);
      continue;
    }
    ++(report->outcome == TierOutcome::kDone ? stats_.lower_writes : stats_.lower_write_failures);
    host_.release(report->slot);
  }
  for (BlockId slot = host_.first_dirty(); slot != kNoBlock; slot = host_.first_dirty()) {
    if (!lower_->start({.kind = TierJobKind::kWrite,
                        .slot = slot,
                        .key = host_.key(slot),
                        .tokens = host_.tokens(slot)})) {
      return;
    }
    ++jobs_under_way_;
    host_.set_clean(slot);
    host_.hold(slot);
  }
}

TierStats Tiers::stats() const {
  TierStats stats = stats_;
  stats.host_evictions = host_.num_evicted();
  stats.lower_writes_lost = host_.num_evicted_dirty();
  return stats;
}

void Tiers::check_invariants(std::size_t num_copies) const {
  if (!enabled()) return;
  host_.check_invariants();
  CHECK_EQ(host_.num_holds(), jobs_under_way_ + static_cast<std::int64_t>(num_copies));
  if (!has_lower()) return;
  std::int32_t outstanding = 0, coming = 0;
  for (const Bundle& bundle : bundles_) {
    CHECK_EQ(bundle.ticket == kNoTicket, bundle.outstanding == 0);
    outstanding += bundle.outstanding;
  }
  for (const ReadTicket ticket : ticket_of_) {
    if (ticket == kNoTicket) continue;
    ++coming;
    CHECK(is_pending(ticket));
  }
  CHECK_EQ(outstanding, coming);
  CHECK_GE(jobs_under_way_, coming);
}

}  // namespace quire::cache
