#include "engine/submission.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "proto/check.h"

namespace quire::engine {
namespace {

// A tokenizer may know more words than the model has rows for.
bool all_known(std::span<const TokenId> tokens, std::int32_t vocab_size) {
  return std::all_of(tokens.begin(), tokens.end(),
                     [vocab_size](TokenId id) { return id >= 0 && id < vocab_size; });
}

std::size_t longest(const std::vector<std::string>& strings) {
  std::size_t size = 0;
  for (const std::string& s : strings) size = std::max(size, s.size());
  return size;
}

std::shared_ptr<StreamState> make_stream(const EngineLoop& loop, const GenerationRequest& request) {
  const Tokenizer& tokenizer = *loop.parts().tokenizer;
  auto stream = std::make_shared<StreamState>();
  stream->mailbox = loop.mailbox();
  const SamplingParams& sampling = request.sampling;
  stream->keep_tokens = sampling.num_logprobs >= 0 || sampling.prompt_logprobs;
  stream->choices.reserve(request.prompts.size() * static_cast<std::size_t>(request.n));
  for (const auto& prompt : request.prompts) {
    ChoiceBuffer::Limits limits{.held = longest(request.stop)};
    const std::size_t max_text =
        (static_cast<std::size_t>(sampling.max_tokens) + 1) * tokenizer.max_token_bytes();
    limits.text_bytes = std::min(kStreamTextBytes, max_text);
    if (stream->keep_tokens) {
      limits.tokens = std::min(kStreamTokens, static_cast<std::size_t>(sampling.max_tokens) + 1);
      if (sampling.prompt_logprobs) limits.tokens += prompt.size();
      limits.top = static_cast<std::size_t>(std::max(sampling.num_logprobs, 0));
    }
    for (std::int32_t i = 0; i < request.n; ++i) {
      ChoiceBuffer& choice = stream->choices.emplace_back(
          tokenizer, request.skip_special_tokens,
          StopMatcher(request.stop, request.include_stop_str_in_output), limits);
      choice.min_tokens = sampling.min_tokens;
      choice.include_stop = request.include_stop_str_in_output;
    }
  }
  return stream;
}

}  // namespace

std::optional<Error> check_request(const EngineLoop& loop, const GenerationRequest& request) {
  CHECK(!request.prompts.empty() && request.n >= 1);
  for (const auto& prompt : request.prompts) {
    CHECK(!prompt.empty());
    if (!all_known(prompt, loop.parts().info.vocab_size)) {
      return Error{ErrorCode::kInvalidRequest, "The prompt holds a token that the model lacks.",
                   "prompt"};
    }
    if (auto error = loop.admission().check_admission(static_cast<std::int64_t>(prompt.size()),
                                                      request.sampling.max_tokens)) {
      return error;
    }
  }
  return std::nullopt;
}

Submission make_submission(EngineLoop& loop, const GenerationRequest& request,
                           StreamListener* listener) {
  Submission submission{.sequences = {}, .stream = make_stream(loop, request)};
  submission.stream->listener = listener;
  const scheduler::Clock::time_point now = scheduler::Clock::now();
  std::size_t index = 0;
  for (const auto& prompt : request.prompts) {
    SequenceId leader{};  // the prompt's first choice, whose pages the others share
    for (std::int32_t i = 0; i < request.n; ++i) {
      auto sequence = std::make_unique<scheduler::Sequence>();
      sequence->id = loop.next_sequence_id();
      sequence->priority = request.priority;
      sequence->arrival_time = now;
      sequence->deadline = request.deadline;
      sequence->tenant = request.tenant;
      sequence->choice = i;
      sequence->salt = request.cache_salt;
      sequence->leader = leader;
      if (i == 0) leader = sequence->id;
      sequence->params = request.sampling;
      sequence->num_prompt_tokens = static_cast<std::int32_t>(prompt.size());
      sequence->tokens = prompt;
      loop.admission().make_room_in(*sequence);
      submission.stream->choices[index++].sequence = sequence->id;
      submission.sequences.push_back(std::move(sequence));
    }
  }
  return submission;
}

}  // namespace quire::engine
