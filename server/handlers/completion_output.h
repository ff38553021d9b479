#pragma once
// From a choice's deltas to what the wire says of it: echo, logprobs with their offsets, usage.
// Tokens stay numbers until they are written: with 20 logprobs each costs 180 bytes.
//
// One per request, on its I/O thread. take() is called once per delta, in the order in which the
// stream gave them.
// 1. The echoed text goes out once per choice, with the choice's first delta.
// 2. text_offset counts the characters of the tokens before; the first output token of an echoed
//    choice stands at the end of the echoed text.

#include <cstdint>
#include <span>
#include <vector>

#include "engine/token_stream.h"
#include "engine/tokenizer/tokenizer.h"
#include "proto/openai.h"
#include "server/handlers/completion_input.h"

namespace quire::server {

class CompletionOutput final : public proto::TokenTexts {
 public:
  // `input` and `tokenizer` outlive it.
  CompletionOutput(const CompletionInput& input, const engine::Tokenizer& tokenizer);

  // What the delta adds to its choice.
  [[nodiscard]] proto::Choice take(engine::Delta& delta);
  // The same, joined into whole(); for an answer that is not streamed.
  void gather(engine::Delta& delta);
  // Once all have finished: of each prompt's choices those that are told, the best by mean logprob.
  [[nodiscard]] std::span<const proto::Choice> whole();
  [[nodiscard]] proto::Usage usage() const;
  [[nodiscard]] std::string_view bytes_of(TokenId token) const override {
    return tokenizer_.token_bytes(token);
  }
  [[nodiscard]] bool all_finished() const { return num_open_ == 0; }

 private:
  struct ChoiceState {
    bool begun = false;
    bool in_output = false;   // a token of the output was seen
    std::int32_t offset = 0;  // characters told by tokens so far
    std::int32_t num_output_tokens = 0;
    std::int32_t num_cached_tokens = 0;
    double logprobs = 0.0;  // sum over the output's entries
    std::int64_t num_entries = 0;

    [[nodiscard]] double mean_logprob() const;
  };
  // Appends what the delta says to the choice.
  void add(engine::Delta& delta, proto::Choice& choice);
  void add_first_prompt_token(std::int32_t index, ChoiceState& state, proto::Choice& choice) const;
  void add_token(const engine::StreamToken& token, std::int32_t index, ChoiceState& state,
                 proto::Choice& choice) const;
  [[nodiscard]] std::size_t prompt_of(std::int32_t index) const;
  [[nodiscard]] std::int32_t characters_of(TokenId token) const;
  void keep_best();

  const CompletionInput& input_;
  const engine::Tokenizer& tokenizer_;
  std::int32_t n_;
  bool skip_special_;
  std::vector<ChoiceState> states_;
  std::vector<proto::Choice> whole_;
  std::size_t num_open_;
};

}  // namespace quire::server
