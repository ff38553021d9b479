#pragma once
// LogprobsWriter: the logprobs object of one choice, token by token, so that a long one can be
// written in pieces. Inside this room only.
//
// Borrows the choice and the texts, which outlive it. One thread. Cost of a step: one token.

#include <cstddef>

#include "proto/json_writer.h"
#include "proto/openai.h"

namespace quire::proto {

class LogprobsWriter final {
 public:
  LogprobsWriter(AnswerForm form, const Choice& choice, const TokenTexts& texts)
      : form_(form), choice_(choice), texts_(texts) {}

  // False: everything was written.
  bool step(JsonWriter& out);

 private:
  const AnswerForm form_;
  const Choice& choice_;
  const TokenTexts& texts_;
  std::size_t list_ = 0;   // of the lists that the form has
  std::size_t token_ = 0;  // the next one of it
};

// The value of "logprobs", whole; null where the choice has none.
void write_logprobs(JsonWriter& out, AnswerForm form, const Choice& choice,
                    const TokenTexts& texts);

}  // namespace quire::proto
