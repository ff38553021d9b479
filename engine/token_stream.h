#pragma once
// TokenStream: one request's bounded channel from the engine thread to its reader.
//
// The engine pushes tokens; the stream turns them into text at once (detokenizer, stop strings), so
// that what a choice says and where it ends does not depend on when anybody reads. The reader
// drains text by choice. Destroying the stream aborts what still runs. Threads: the producer side
// (StreamState, token_stream_state.h) is the engine thread's; everything here is for one reader at
// a time on any thread. A mutex guards the buffers; sections are short.
// 1. Each choice gives exactly one final delta (finish != kNone), after which it gives nothing.
// 2. The texts of a choice's deltas, joined, are the same however they are drained.
// 3. A choice whose buffer is full (kStreamTextBytes or kStreamTokens) makes its sequence wait; it
//    goes on when drained. Nothing is lost, the engine never waits.
// 4. The producer allocates nothing: buffers are made by submit().

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "proto/page_source.h"
#include "proto/types.h"

namespace quire::engine {

inline constexpr std::size_t kStreamTextBytes =
    4096;                                          // per choice: about a thousand tokens of text
inline constexpr std::size_t kStreamTokens = 256;  // per choice: tokens with their logprobs

// A token with its logprobs as the stream tells it (only where logprobs were asked for).
struct StreamToken {
  TokenLogprob token;
  bool is_prompt = false;         // scored prompt token (echo with logprobs)
  std::vector<TokenLogprob> top;  // best first
};

// What happened to one choice so far. Seconds from its arrival; negative: it has not happened.
struct ChoiceReport {
  double started = -1.0;  // the first step that computes it
  double first_token = -1.0;
  double last_token = -1.0;
  double largest_gap = 0.0;    // between two of its tokens
  ReusedTokens reused_tokens;  // of its prompt, by where their pages were
  std::int32_t num_prefill_chunks = 0;
  std::int32_t num_preemptions = 0;
};

// What one choice said since the last drain.
struct Delta {
  std::int32_t choice = 0;  // prompt_index * n + i
  std::string text;         // whole characters; may be empty
  std::vector<StreamToken> tokens;
  std::int32_t num_output_tokens = 0;  // of this choice so far, for usage
  std::int32_t num_cached_tokens = 0;  // of its prompt: not computed for this choice
  FinishReason finish = FinishReason::kNone;
  std::variant<std::monostate, TokenId, std::string> stop_reason;
  ChoiceReport report;
};

// Told when a stream has something to drain.
class StreamListener {
 public:
  virtual ~StreamListener() = default;
  // On the engine thread, at most once between two drains. Must not block, allocate, throw or call
  // the stream or the engine.
  virtual void on_ready() noexcept = 0;
};

struct StreamState;
class Engine;

class TokenStream final {
 public:
  explicit TokenStream(std::shared_ptr<StreamState> state);
  ~TokenStream();  // aborts the choices that still run
  TokenStream(TokenStream&& other) noexcept = default;
  TokenStream& operator=(TokenStream&& other) = delete;

  // Appends what has come since the last call to `deltas` (at most one per choice, by choice).
  // Returns false once every choice's final delta was handed out (then and later nothing comes).
  bool drain(std::vector<Delta>& deltas);
  // Blocks until drain() has something or everything was handed out (tests, command line).
  void wait();
  // No on_ready() runs or will run once this returns (the destructor does it too).
  void detach_listener();

 private:
  std::shared_ptr<StreamState> state_;
};

}  // namespace quire::engine
