#include "engine/token_stream.h"

#include <algorithm>
#include <utility>

#include "engine/token_stream_state.h"
#include "proto/check.h"

namespace quire::engine {
namespace {

// What one token can add to a text: its bytes, each at worst a replacement character of three
// bytes, and an unfinished character before it.
std::size_t text_headroom(const Tokenizer& tokenizer) {
  return tokenizer.max_token_bytes() * 3 + 16;
}

Delta take_delta(ChoiceBuffer& choice, std::int32_t index) {
  Delta delta;
  delta.choice = index;
  delta.text = choice.text;
  choice.text.clear();
  delta.tokens.reserve(choice.tokens.size());
  for (const ChoiceBuffer::Token& token : choice.tokens) {
    const auto begin = choice.top.begin() + token.top_begin;
    delta.tokens.push_back({.token = token.token,
                            .is_prompt = token.is_prompt,
                            .top = {begin, begin + token.top_count}});
  }
  choice.tokens.clear();
  choice.top.clear();
  delta.num_output_tokens = choice.num_output_tokens;
  delta.num_cached_tokens = choice.num_cached_tokens;
  delta.finish = choice.finish;
  if (const int* stop = std::get_if<int>(&choice.stop_reason)) {
    delta.stop_reason = choice.stop_matcher.stop(*stop);
  } else if (const auto* token = std::get_if<StopToken>(&choice.stop_reason)) {
    delta.stop_reason = token->id;
  }
  delta.report = choice.report;
  choice.told_finish = choice.closed();
  return delta;
}

}  // namespace

ChoiceBuffer::ChoiceBuffer(const Tokenizer& tokenizer, bool skip_special, StopMatcher stops,
                           Limits bounds)
    : detokenizer(tokenizer, skip_special, /*continues=*/true),
      stop_matcher(std::move(stops)),
      limits(bounds) {
  const std::size_t headroom = text_headroom(tokenizer);
  scratch.reserve(headroom * 2);
  // A full choice still takes the tokens of two steps in flight and what the stop matcher held
  // back.
  text.reserve(limits.text_bytes + headroom * 3 + limits.held);
  tokens.reserve(limits.tokens == 0 ? 0 : limits.tokens + 1);
  top.reserve(tokens.capacity() * limits.top);
}

StreamState::Push StreamState::push(std::int32_t index, const scheduler::TokenEvent& event,
                                    const ChoiceReport& report) {
  const std::lock_guard lock(mutex);
  ChoiceBuffer& choice = choices[static_cast<std::size_t>(index)];
  if (choice.closed()) return Push::kClosed;
  choice.report = report;
  choice.num_cached_tokens = event.num_cached_tokens;
  if (event.token != kNoToken) {
    if (!event.is_prompt) ++choice.num_output_tokens;
    append_text(choice, event);
    if (keep_tokens && !(event.finish == FinishReason::kStop)) {
      choice.tokens.push_back({.token = {event.token, event.logprob},
                               .is_prompt = event.is_prompt,
                               .top_begin = static_cast<std::int32_t>(choice.top.size()),
                               .top_count = static_cast<std::int32_t>(event.top.size())});
      choice.top.insert(choice.top.end(), event.top.begin(), event.top.end());
    }
  }
  const bool stopped_by_string = choice.closed() && event.finish == FinishReason::kNone;
  if (event.finish != FinishReason::kNone && !choice.closed()) close(choice, event);
  if (!choice.text.empty() || !choice.tokens.empty() || choice.closed()) notify_locked();
  if (stopped_by_string) return Push::kStopString;
  if (choice.closed()) return Push::kClosed;
  // Only resume() takes it back: the sequence is paused by now, and what a step in flight still
  // says after the reader has drained must not hide that.
  choice.full = choice.full || choice.full_now(keep_tokens);
  return choice.full ? Push::kFull : Push::kOpen;
}

void StreamState::append_text(ChoiceBuffer& choice, const scheduler::TokenEvent& event) {
  const bool is_end_token = event.finish == FinishReason::kStop;
  if (event.is_prompt || (is_end_token && !choice.include_stop)) return;
  choice.scratch.clear();
  choice.detokenizer.push(event.token, choice.scratch);
  if (choice.num_output_tokens <= choice.min_tokens) {
    choice.text += choice.scratch;
    return;
  }
  const int stop = choice.stop_matcher.push(choice.scratch, choice.text);
  if (stop < 0) return;
  choice.finish = FinishReason::kStop;
  choice.stop_reason = stop;
}

void StreamState::close(ChoiceBuffer& choice, const scheduler::TokenEvent& event) {
  choice.scratch.clear();
  choice.detokenizer.finish(choice.scratch);
  const int stop = choice.stop_matcher.push(choice.scratch, choice.text);
  choice.finish = stop >= 0 ? FinishReason::kStop : event.finish;
  if (stop >= 0) {
    choice.stop_reason = stop;
  } else {
    choice.stop_matcher.finish(choice.text);
    if (event.stop_token != kNoToken) choice.stop_reason = StopToken{event.stop_token};
  }
}

void StreamState::notify_locked() {
  if (notified) return;
  notified = true;
  ready.notify_all();
  if (listener != nullptr) listener->on_ready();
}

TokenStream::TokenStream(std::shared_ptr<StreamState> state) : state_(std::move(state)) {}

TokenStream::~TokenStream() {
  if (state_ == nullptr) return;
  detach_listener();
  bool open = false;
  {
    const std::lock_guard lock(state_->mutex);
    state_->cancelled = true;
    state_->left_at = std::chrono::steady_clock::now();
    open = std::any_of(state_->choices.begin(), state_->choices.end(),
                       [](const ChoiceBuffer& choice) { return !choice.closed(); });
  }
  if (!open) return;
  Mailbox& mailbox = *state_->mailbox;
  const std::lock_guard lock(mailbox.mutex);
  if (mailbox.dead) return;
  mailbox.content.cancels.push_back(state_);
  mailbox.wake.notify_one();
}

bool TokenStream::drain(std::vector<Delta>& deltas) {
  bool resume = false;
  bool open = false;
  {
    const std::lock_guard lock(state_->mutex);
    state_->notified = false;
    for (std::size_t i = 0; i < state_->choices.size(); ++i) {
      ChoiceBuffer& choice = state_->choices[i];
      if (choice.told_finish) continue;
      if (!choice.text.empty() || !choice.tokens.empty() || choice.closed()) {
        deltas.push_back(take_delta(choice, static_cast<std::int32_t>(i)));
      }
      if (choice.full && !choice.closed() && !state_->resume_posted) resume = true;
      open = open || !choice.told_finish;
    }
    if (resume) state_->resume_posted = true;
  }
  if (resume) {
    Mailbox& mailbox = *state_->mailbox;
    const std::lock_guard lock(mailbox.mutex);
    if (mailbox.dead) return open;
    mailbox.content.resumes.push_back(state_);
    mailbox.wake.notify_one();
  }
  return open;
}

void TokenStream::wait() {
  std::unique_lock lock(state_->mutex);
  state_->ready.wait(lock, [this] {
    return state_->notified ||
           std::all_of(state_->choices.begin(), state_->choices.end(),
                       [](const ChoiceBuffer& choice) { return choice.told_finish; });
  });
}

void TokenStream::detach_listener() {
  const std::lock_guard lock(state_->mutex);
  state_->listener = nullptr;
}

}  // namespace quire::engine
