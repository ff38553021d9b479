#include "engine/recompute_executor.h"

namespace quire::engine {

void RecomputeExecutor::execute(const scheduler::StepPlan& plan, scheduler::StepOutput& output) {
  whole_ = plan;
  whole_.tokens.clear();
  auto sample = whole_.samples.begin();
  for (std::size_t r = 0; r < plan.rows.size(); ++r) {
    const scheduler::StepRow& old = plan.rows[r];
    scheduler::StepRow& row = whole_.rows[r];
    row.token_begin = static_cast<std::int32_t>(whole_.tokens.size());
    const auto samples_begin = sample;
    while (sample != whole_.samples.end() && sample->row == static_cast<std::int32_t>(r)) ++sample;
    if (sample != samples_begin) {
      // The tokens before this step's own are the head of a sample's history.
      const auto head = samples_begin->history.first(static_cast<std::size_t>(old.first_position));
      whole_.tokens.insert(whole_.tokens.end(), head.begin(), head.end());
      row.first_position = 0;
      row.num_tokens = old.context_len;
      for (auto s = samples_begin; s != sample; ++s) s->offset += old.first_position;
    }
    const auto own = plan.tokens.begin() + old.token_begin;
    whole_.tokens.insert(whole_.tokens.end(), own, own + old.num_tokens);
  }
  inner_->execute(whole_, output);
}

}  // namespace quire::engine
