#pragma once
// AnswerBody: the body of an answer that is not streamed, in pieces: with logprobs it may be a
// hundred megabytes, which neither stand in memory at once nor hold up a thread in one go.
//
// Borrows the choices and the texts, which outlive it. One thread. Cost of a piece: its bytes.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "proto/json_writer.h"
#include "proto/logprobs_writer.h"
#include "proto/openai.h"

namespace quire::proto {

class AnswerBody final {
 public:
  AnswerBody(AnswerForm form, const ResponseHead& head, std::span<const Choice> choices,
             const Usage& usage, const TokenTexts& texts);
  AnswerBody(const AnswerBody&) = delete;  // its writer points into it
  AnswerBody& operator=(const AnswerBody&) = delete;

  // The next bytes, valid until the next call: about `size`, and beyond it at most one choice's
  // text or one token.
  [[nodiscard]] std::string_view next(std::size_t size);
  // next() has given everything.
  [[nodiscard]] bool done() const { return stage_ == Stage::kDone; }

 private:
  enum class Stage : std::uint8_t { kHead, kChoice, kLogprobs, kChoiceEnd, kTail, kDone };

  void step();
  void begin_choice();
  void end_choice();

  const AnswerForm form_;
  const ResponseHead head_;
  const std::span<const Choice> choices_;
  const Usage usage_;
  const TokenTexts& texts_;
  std::string piece_;
  JsonWriter out_{piece_};
  Stage stage_ = Stage::kHead;
  std::size_t choice_ = 0;
  std::optional<LogprobsWriter> logprobs_;  // of the choice at hand
};

}  // namespace quire::proto
