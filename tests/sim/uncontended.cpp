#include "tests/sim/uncontended.h"

#include <algorithm>

#include "tests/sim/core.h"
#include "tests/sim/model_arithmetic.h"

namespace quire::sim {
namespace {

// Reads a request token by token and answers questions about what comes next.
class Reader final {
 public:
  Reader(const Request& request, const Scenario& scenario)
      : request_(request),
        groups_(scenario.groups),
        fault_period_(scenario.model_fault_period),
        entries_(groups_.size()) {}

  void read(TokenId token) {
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const Entry previous = entries_[g].empty() ? kNoEntry : entries_[g].back();
      entries_[g].push_back(entry_of(token, position_, g, previous));
    }
    ++position_;
    history_ = attend(history_, static_cast<Entry>(token));
  }

  // The next token: `target`, scored, or kNoToken, chosen. False: a fault, and the end.
  bool ask(TokenId target, bool mask_end_tokens, Transcript& transcript) {
    answer({.state = state(),
            .history = history_,
            .position = position_,
            .target = target,
            .choice = request_.choice,
            .num_top = request_.params.num_logprobs,
            .mask_end_tokens = mask_end_tokens,
            .fault_period = fault_period_},
           request_.params, answer_);
    if (answer_.fault) {
      transcript.finish = FinishReason::kError;
      return false;
    }
    transcript.tokens.push_back({.is_prompt = target != kNoToken,
                                 .token = answer_.token,
                                 .logprob = answer_.logprob,
                                 .top = answer_.top});
    return true;
  }

 private:
  [[nodiscard]] std::uint64_t state() const {
    std::uint64_t state = 0;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      for (std::int32_t p = first_attended(groups_[g], position_); p < position_; ++p) {
        state = attend(state, entries_[g][static_cast<std::size_t>(p)]);
      }
    }
    return state;
  }

  const Request& request_;
  const std::vector<Group>& groups_;
  std::int32_t fault_period_;
  std::int32_t position_ = 0;
  std::vector<std::vector<Entry>> entries_;  // [group][position]
  std::uint64_t history_ = 0;
  Answer answer_;
};

// Does an output token end the request, and how?
void end_after(TokenId token, const SamplingParams& params, Transcript& transcript) {
  const bool is_end = token == kEndToken || token == kOtherEndToken;
  const bool is_stop =
      std::count(params.stop_token_ids.begin(), params.stop_token_ids.end(), token);
  if (is_end && !params.ignore_eos) {
    transcript.finish = FinishReason::kStop;
  } else if (is_stop) {
    transcript.finish = FinishReason::kStop;
    transcript.stop_token = token;
  }
}

}  // namespace

Transcript by_the_rules(const Request& request, const Scenario& scenario) {
  Transcript transcript;
  Reader reader(request, scenario);
  reader.read(request.prompt.front());
  for (std::size_t i = 1; i < request.prompt.size(); ++i) {
    if (request.params.prompt_logprobs && !reader.ask(request.prompt[i], false, transcript)) {
      return transcript;
    }
    reader.read(request.prompt[i]);
  }
  for (std::int32_t i = 0; i < request.params.max_tokens; ++i) {
    if (!reader.ask(kNoToken, i < request.params.min_tokens, transcript)) return transcript;
    const TokenId token = transcript.tokens.back().token;
    end_after(token, request.params, transcript);
    if (transcript.finish != FinishReason::kNone) return transcript;
    reader.read(token);
  }
  transcript.finish = FinishReason::kLength;
  return transcript;
}

Transcript in_a_fresh_core(const Request& request, const Scenario& scenario) {
  const auto total = static_cast<std::int32_t>(request.prompt.size()) + request.params.max_tokens;
  Scenario roomy;
  roomy.groups = scenario.groups;
  for (Group& group : roomy.groups) group.block_size = 16;
  roomy.num_blocks = (total / 16 + 1) * static_cast<std::int32_t>(roomy.groups.size());
  roomy.prefix_caching = false;
  roomy.model_fault_period = scenario.model_fault_period;
  roomy.scheduler = {.max_num_seqs = 1,
                     .max_num_batched_tokens = total + 1,
                     .max_queue_len = 1,
                     .max_model_len = total + 1,
                     .eos_token_ids = {kEndToken, kOtherEndToken}};
  Core core(roomy);
  core.scheduler.add(make_sequence(request, 1, {}));
  Transcript transcript;
  while (!core.scheduler.idle()) {
    core.events.clear();
    core.scheduler.schedule({}, core.plan, core.events);
    core.model.execute(core.plan, core.output);
    core.scheduler.update(core.plan, core.output, core.events);
    for (const scheduler::TokenEvent& event : core.events) transcript.append(event);
  }
  return transcript;
}

}  // namespace quire::sim
