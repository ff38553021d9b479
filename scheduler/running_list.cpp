#include "scheduler/running_list.h"

#include <algorithm>

#include "proto/check.h"
#include "scheduler/request_queue.h"

namespace quire::scheduler {
namespace {

bool runs_before(const Sequence* a, const Sequence* b) { return RunsBefore{}(*a, *b); }

}  // namespace

void RunningList::insert(Sequence& sequence) {
  CHECK_LT(items_.size(), items_.capacity());
  items_.insert(std::lower_bound(items_.begin(), items_.end(), &sequence, runs_before), &sequence);
}

void RunningList::erase(Sequence& sequence) {
  const auto at = std::lower_bound(items_.begin(), items_.end(), &sequence, runs_before);
  CHECK(at != items_.end() && *at == &sequence);
  items_.erase(at);
}

void RunningList::check_invariants() const {
  for (std::size_t i = 1; i < items_.size(); ++i) CHECK(runs_before(items_[i - 1], items_[i]));
}

}  // namespace quire::scheduler
