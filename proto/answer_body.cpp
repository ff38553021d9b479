#include "proto/answer_body.h"

#include "proto/response_parts.h"

namespace quire::proto {

AnswerBody::AnswerBody(AnswerForm form, const ResponseHead& head, std::span<const Choice> choices,
                       const Usage& usage, const TokenTexts& texts)
    : form_(form), head_(head), choices_(choices), usage_(usage), texts_(texts) {}

std::string_view AnswerBody::next(std::size_t size) {
  piece_.clear();
  do {
    step();
  } while (!done() && piece_.size() < size);
  return piece_;
}

void AnswerBody::step() {
  switch (stage_) {
    case Stage::kHead:
      out_.begin_object();
      write_head(out_, head_, form_ == AnswerForm::kChat ? "chat.completion" : "text_completion");
      out_.key("choices").begin_array();
      stage_ = choices_.empty() ? Stage::kTail : Stage::kChoice;
      return;
    case Stage::kChoice:
      return begin_choice();
    case Stage::kLogprobs:
      if (!logprobs_->step(out_)) stage_ = Stage::kChoiceEnd;
      return;
    case Stage::kChoiceEnd:
      return end_choice();
    case Stage::kTail:
      out_.end_array();
      write_tail(out_, head_, ChunkUsage::kGiven, usage_);
      out_.end_object();
      stage_ = Stage::kDone;
      return;
    case Stage::kDone:
      return;
  }
}

void AnswerBody::begin_choice() {
  const Choice& choice = choices_[choice_];
  out_.begin_object().key("index").integer(choice.index);
  if (form_ == AnswerForm::kChat) {
    out_.key("message").begin_object().key("role").text("assistant");
    out_.key("content").text(choice.text).key("refusal").null().end_object();
  } else {
    out_.key("text").text(choice.text);
  }
  out_.key("logprobs");
  if (choice.with_logprobs) {
    logprobs_.emplace(form_, choice, texts_);
    stage_ = Stage::kLogprobs;
  } else {
    out_.null();
    stage_ = Stage::kChoiceEnd;
  }
}

void AnswerBody::end_choice() {
  write_end(out_, choices_[choice_]);
  out_.end_object();
  stage_ = ++choice_ < choices_.size() ? Stage::kChoice : Stage::kTail;
}

}  // namespace quire::proto
