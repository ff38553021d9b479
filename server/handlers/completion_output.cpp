#include "server/handlers/completion_output.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

namespace quire::server {
namespace {

// Characters of UTF-8 that begin in these bytes.
std::int32_t count_characters(std::string_view bytes) {
  return static_cast<std::int32_t>(std::count_if(bytes.begin(), bytes.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace

CompletionOutput::CompletionOutput(const CompletionInput& input, const engine::Tokenizer& tokenizer)
    : input_(input),
      tokenizer_(tokenizer),
      n_(input.generation.n),
      skip_special_(input.generation.skip_special_tokens),
      states_(input.generation.prompts.size() * static_cast<std::size_t>(n_)),
      num_open_(states_.size()) {}

std::size_t CompletionOutput::prompt_of(std::int32_t index) const {
  return static_cast<std::size_t>(index / n_);
}

double CompletionOutput::ChoiceState::mean_logprob() const {
  if (num_entries == 0) return -std::numeric_limits<double>::infinity();
  return logprobs / static_cast<double>(num_entries);
}

// Equal ones stay in order.
void CompletionOutput::keep_best() {
  std::vector<proto::Choice> best;
  const auto each = static_cast<std::size_t>(n_);
  for (std::size_t first = 0; first < whole_.size(); first += each) {
    std::vector<std::size_t> order(each);
    std::iota(order.begin(), order.end(), first);
    std::ranges::stable_sort(order, std::greater{},
                             [this](std::size_t i) { return states_[i].mean_logprob(); });
    for (std::int32_t i = 0; i < input_.num_told; ++i) {
      best.push_back(std::move(whole_[order[static_cast<std::size_t>(i)]]));
      best.back().index = static_cast<std::int32_t>(best.size() - 1);
    }
  }
  whole_ = std::move(best);
}

std::span<const proto::Choice> CompletionOutput::whole() {
  if (input_.num_told < n_ && whole_.size() == states_.size()) keep_best();
  return whole_;
}

std::int32_t CompletionOutput::characters_of(TokenId token) const {
  if (skip_special_ && tokenizer_.is_special(token)) return 0;
  return count_characters(tokenizer_.token_bytes(token));
}

// Nothing comes before it, so it has no logprob and the engine does not score it.
void CompletionOutput::add_first_prompt_token(std::int32_t index, ChoiceState& state,
                                              proto::Choice& choice) const {
  const TokenId token = input_.first_tokens[prompt_of(index)];
  choice.logprobs.push_back({.token = {.token = token}, .scored = false});
  state.offset += characters_of(token);
}

void CompletionOutput::add_token(const engine::StreamToken& token, std::int32_t index,
                                 ChoiceState& state, proto::Choice& choice) const {
  if (!token.is_prompt && !state.in_output) {
    state.in_output = true;
    state.offset = input_.echo ? count_characters(input_.echo_texts[prompt_of(index)]) : 0;
  }
  if (!token.is_prompt) {
    state.logprobs += double{token.token.logprob};
    ++state.num_entries;
  }
  if (input_.num_logprobs < 0) return;  // looked at to find the best, not told
  choice.logprobs.push_back({.token = token.token,
                             .text_offset = state.offset,
                             .top_begin = static_cast<std::uint32_t>(choice.top.size()),
                             .num_top = static_cast<std::uint16_t>(token.top.size())});
  choice.top.insert(choice.top.end(), token.top.begin(), token.top.end());
  state.offset += characters_of(token.token.token);
}

void CompletionOutput::add(engine::Delta& delta, proto::Choice& choice) {
  ChoiceState& state = states_[static_cast<std::size_t>(delta.choice)];
  choice.index = delta.choice;
  choice.finish = delta.finish;
  choice.stop_reason = std::move(delta.stop_reason);
  choice.with_logprobs = input_.num_logprobs >= 0;
  if (!state.begun) {
    state.begun = true;
    if (input_.echo) choice.text = input_.echo_texts[prompt_of(delta.choice)];
    if (!input_.first_tokens.empty()) add_first_prompt_token(delta.choice, state, choice);
  }
  choice.text += delta.text;
  for (const engine::StreamToken& token : delta.tokens) {
    add_token(token, delta.choice, state, choice);
  }
  state.num_output_tokens = delta.num_output_tokens;
  state.num_cached_tokens = delta.num_cached_tokens;
  if (delta.finish != FinishReason::kNone) --num_open_;
}

proto::Choice CompletionOutput::take(engine::Delta& delta) {
  proto::Choice choice;
  add(delta, choice);
  return choice;
}

void CompletionOutput::gather(engine::Delta& delta) {
  if (whole_.empty()) whole_.resize(states_.size());
  add(delta, whole_[static_cast<std::size_t>(delta.choice)]);
}

proto::Usage CompletionOutput::usage() const {
  proto::Usage usage{.prompt_tokens = input_.num_prompt_tokens};
  for (std::size_t i = 0; i < states_.size(); ++i) {
    usage.completion_tokens += states_[i].num_output_tokens;
    // As the prompt's tokens, counted once: for the choice that came first.
    if (i % static_cast<std::size_t>(n_) == 0) usage.cached_tokens += states_[i].num_cached_tokens;
  }
  return usage;
}

}  // namespace quire::server
