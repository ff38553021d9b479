#include "server/handlers/completion_output.h"

#include <algorithm>
#include <iterator>

namespace quire::server {
namespace {

// Characters of UTF-8 that begin in these bytes.
std::int64_t count_characters(std::string_view bytes) {
  return std::count_if(bytes.begin(), bytes.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
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

std::int64_t CompletionOutput::characters_of(TokenId token) const {
  if (skip_special_ && tokenizer_.is_special(token)) return 0;
  return count_characters(tokenizer_.token_bytes(token));
}

// Nothing comes before it, so it has no logprob and the engine does not score it.
void CompletionOutput::add_first_prompt_token(std::int32_t index, ChoiceState& state,
                                              proto::Choice& choice) const {
  const TokenId token = input_.first_tokens[prompt_of(index)];
  choice.logprobs.push_back({.text = proto::token_label(tokenizer_.token_bytes(token)),
                             .logprob = std::nullopt,
                             .top = {},
                             .text_offset = 0});
  state.offset += characters_of(token);
}

void CompletionOutput::add_token(const engine::StreamToken& token, std::int32_t index,
                                 ChoiceState& state, proto::Choice& choice) const {
  if (!token.is_prompt && !state.in_output) {
    state.in_output = true;
    state.offset = input_.echo ? count_characters(input_.echo_texts[prompt_of(index)]) : 0;
  }
  proto::LogprobEntry entry{.text = proto::token_label(tokenizer_.token_bytes(token.token.token)),
                            .logprob = token.token.logprob,
                            .top = {},
                            .text_offset = state.offset};
  for (const TokenLogprob& other : token.top) {
    entry.top.emplace_back(proto::token_label(tokenizer_.token_bytes(other.token)), other.logprob);
  }
  choice.logprobs.push_back(std::move(entry));
  state.offset += characters_of(token.token.token);
}

proto::Choice CompletionOutput::take(engine::Delta& delta) {
  ChoiceState& state = states_[static_cast<std::size_t>(delta.choice)];
  proto::Choice choice{.index = delta.choice,
                       .text = {},
                       .finish = delta.finish,
                       .stop_reason = std::move(delta.stop_reason),
                       .with_logprobs = input_.num_logprobs >= 0,
                       .with_top_logprobs = input_.num_logprobs > 0,
                       .logprobs = {}};
  if (!state.begun) {
    state.begun = true;
    if (input_.echo) choice.text = input_.echo_texts[prompt_of(delta.choice)];
    if (!input_.first_tokens.empty()) add_first_prompt_token(delta.choice, state, choice);
  }
  choice.text += delta.text;
  choice.logprobs.reserve(choice.logprobs.size() + delta.tokens.size());
  for (const engine::StreamToken& token : delta.tokens) {
    add_token(token, delta.choice, state, choice);
  }
  state.num_output_tokens = delta.num_output_tokens;
  if (delta.finish != FinishReason::kNone) --num_open_;
  return choice;
}

void CompletionOutput::gather(engine::Delta& delta) {
  if (whole_.empty()) whole_.resize(states_.size());
  proto::Choice part = take(delta);
  proto::Choice& choice = whole_[static_cast<std::size_t>(part.index)];
  if (choice.text.empty() && choice.logprobs.empty()) {
    choice = std::move(part);
    return;
  }
  choice.text += part.text;
  std::move(part.logprobs.begin(), part.logprobs.end(), std::back_inserter(choice.logprobs));
  choice.finish = part.finish;
  choice.stop_reason = std::move(part.stop_reason);
}

proto::Usage CompletionOutput::usage() const {
  proto::Usage usage{.prompt_tokens = input_.num_prompt_tokens};
  for (const ChoiceState& state : states_) usage.completion_tokens += state.num_output_tokens;
  return usage;
}

}  // namespace quire::server
