#pragma once
// StreamState: what a TokenStream's reader and the engine thread share, and Mailbox: how readers
// reach the engine thread.
//
// A StreamState lives as long as its reader or the engine needs it. `mutex` guards everything below
// it; the engine thread pushes, the reader drains.
// 1. push_token() and push_end() allocate nothing (room is made by submit()).
// 2. A choice that is closed takes nothing more.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "engine/token_stream.h"
#include "engine/tokenizer/detokenizer.h"
#include "engine/tokenizer/stop_matcher.h"
#include "proto/types.h"
#include "scheduler/sequence.h"
#include "scheduler/step.h"

namespace quire::engine {

// A stop token id, as against the index of a stop string (an int).
struct StopToken {
  TokenId id = kNoToken;
};

// One choice's text and tokens between two drains.
struct ChoiceBuffer {
  struct Token {
    TokenLogprob token;
    bool is_prompt = false;
    std::int32_t top_begin = 0;
    std::int32_t top_count = 0;
  };
  struct Limits {
    std::size_t text_bytes = kStreamTextBytes;
    std::size_t tokens = 0;  // 0: no logprobs asked for, tokens are not kept
    std::size_t top = 0;     // alternatives per token
    std::size_t held = 0;    // longest stop string: what the stop matcher may hold back
  };

  ChoiceBuffer(const Tokenizer& tokenizer, bool skip_special, StopMatcher stops, Limits bounds);

  SequenceId sequence{};
  std::int32_t min_tokens = 0;  // no stop string is looked for before this many
  bool include_stop = false;    // text of a stop token id is told
  Detokenizer detokenizer;
  StopMatcher stop_matcher;
  Limits limits;
  std::string text;     // released, not drained
  std::string scratch;  // one token's text on its way through the stop matcher
  std::vector<Token> tokens;
  std::vector<TokenLogprob> top;
  std::int32_t num_output_tokens = 0;
  std::int32_t num_cached_tokens = 0;
  ChoiceReport report;
  FinishReason finish = FinishReason::kNone;
  std::variant<std::monostate, StopToken, int> stop_reason;  // int: index of the stop string
  bool told_finish = false;                                  // the final delta was handed out
  bool full = false;  // its sequence waits until the reader drains

  [[nodiscard]] bool closed() const { return finish != FinishReason::kNone; }
  [[nodiscard]] bool full_now(bool keep_tokens) const {
    return text.size() >= limits.text_bytes || (keep_tokens && tokens.size() >= limits.tokens);
  }
};

struct Mailbox;

struct StreamState {
  enum class Push : std::uint8_t { kOpen, kFull, kStopString, kClosed };

  // Takes one event of choice `index`. kFull: pause the sequence; kStopString: the choice ended by
  // a stop string that the scheduler does not know of; kClosed: the event was its last.
  Push push(std::int32_t index, const scheduler::TokenEvent& event, const ChoiceReport& report);
  // Tells the reader once that there is something to drain. The mutex is held.
  void notify_locked();

  std::shared_ptr<Mailbox> mailbox;  // constant
  bool keep_tokens = false;          // constant

  std::mutex mutex;
  std::condition_variable ready;
  std::vector<ChoiceBuffer> choices;
  StreamListener* listener = nullptr;
  bool notified = false;
  bool cancelled = false;
  std::chrono::steady_clock::time_point left_at{};  // when it was cancelled
  bool resume_posted = false;

 private:
  void append_text(ChoiceBuffer& choice, const scheduler::TokenEvent& event);
  void close(ChoiceBuffer& choice, const scheduler::TokenEvent& event);
};

// A request on its way to the engine thread.
struct Submission {
  std::vector<std::unique_ptr<scheduler::Sequence>> sequences;  // one per choice
  std::shared_ptr<StreamState> stream;
};

// The bounded inbox. Filled by any thread, emptied by the engine thread, which swaps the vectors
// for its own empty ones. Both have room for all that may be in flight: nobody allocates under the
// lock, and a stream's destructor cannot fail. (What is in flight ends only with such a swap.)
struct Mailbox {
  struct Content {
    std::vector<Submission> submissions;
    std::vector<std::shared_ptr<StreamState>> cancels;
    std::vector<std::shared_ptr<StreamState>> resumes;
    [[nodiscard]] bool empty() const {
      return submissions.empty() && cancels.empty() && resumes.empty();
    }
    void reserve(std::size_t most) {
      submissions.reserve(most);
      cancels.reserve(most);
      resumes.reserve(most);
    }
    void clear() {
      submissions.clear();
      cancels.clear();
      resumes.clear();
    }
  };

  std::mutex mutex;
  std::condition_variable wake;
  Content content;
  std::int64_t sequences_in_flight = 0;  // accepted and not yet ended; bounded by submit()
  bool tiers_report = false;             // pages have come from below, or gone there
  bool draining = false;
  bool stopping = false;
  bool dead = false;  // the loop ended: nothing is taken any more
};

}  // namespace quire::engine
