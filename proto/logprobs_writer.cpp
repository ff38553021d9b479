#include "proto/logprobs_writer.h"

#include <algorithm>
#include <span>
#include <string>
#include <vector>

namespace quire::proto {
namespace {

std::span<const TokenLogprob> top_of(const Choice& choice, const LogprobEntry& entry) {
  return std::span(choice.top).subspan(entry.top_begin, entry.num_top);
}

void write_offset(JsonWriter& out, const Choice& /*choice*/, const LogprobEntry& entry,
                  const TokenTexts& /*texts*/) {
  out.integer(entry.text_offset);
}

void write_logprob(JsonWriter& out, const Choice& /*choice*/, const LogprobEntry& entry,
                   const TokenTexts& /*texts*/) {
  entry.scored ? out.number(entry.token.logprob) : out.null();
}

void write_label(JsonWriter& out, const Choice& /*choice*/, const LogprobEntry& entry,
                 const TokenTexts& texts) {
  out.text(token_label(texts.bytes_of(entry.token.token)));
}

// An object from spelling to logprob. Two tokens may share a spelling and an object's keys are
// distinct: the better one, which comes first, stays. The token itself is always among them.
void write_top(JsonWriter& out, const Choice& choice, const LogprobEntry& entry,
               const TokenTexts& texts) {
  if (!entry.scored) {
    out.null();
    return;
  }
  std::vector<std::string> told;
  told.reserve(entry.num_top);
  const auto is_told = [&told](std::string_view label) {
    return std::ranges::find(told, label) != told.end();
  };
  out.begin_object();
  for (const TokenLogprob& other : top_of(choice, entry)) {
    std::string label = token_label(texts.bytes_of(other.token));
    if (is_told(label)) continue;
    out.key(label).number(other.logprob);
    told.push_back(std::move(label));
  }
  const std::string own = token_label(texts.bytes_of(entry.token.token));
  if (!is_told(own)) out.key(own).number(entry.token.logprob);
  out.end_object();
}

// Chat answers tell the bytes themselves beside their spelling.
void write_token(JsonWriter& out, std::string_view bytes, float logprob) {
  out.key("token").text(token_label(bytes));
  out.key("logprob").number(logprob);
  out.key("bytes").begin_array();
  for (const char c : bytes) out.integer(static_cast<unsigned char>(c));
  out.end_array();
}

void write_content(JsonWriter& out, const Choice& choice, const LogprobEntry& entry,
                   const TokenTexts& texts) {
  out.begin_object();
  write_token(out, texts.bytes_of(entry.token.token), entry.token.logprob);
  out.key("top_logprobs").begin_array();
  for (const TokenLogprob& other : top_of(choice, entry)) {
    out.begin_object();
    write_token(out, texts.bytes_of(other.token), other.logprob);
    out.end_object();
  }
  out.end_array().end_object();
}

// A list with one element per token.
struct List {
  std::string_view name;
  void (*write)(JsonWriter& out, const Choice& choice, const LogprobEntry& entry,
                const TokenTexts& texts);
};
constexpr List kCompletionLists[] = {{"text_offset", write_offset},
                                     {"token_logprobs", write_logprob},
                                     {"tokens", write_label},
                                     {"top_logprobs", write_top}};
constexpr List kChatLists[] = {{"content", write_content}};

std::span<const List> lists_of(AnswerForm form) {
  if (form == AnswerForm::kChat) return kChatLists;
  return kCompletionLists;
}

}  // namespace

bool LogprobsWriter::step(JsonWriter& out) {
  const std::span<const List> lists = lists_of(form_);
  if (list_ == lists.size()) return false;
  const List& list = lists[list_];
  if (token_ == 0) {
    if (list_ == 0) out.begin_object();
    out.key(list.name).begin_array();
  }
  if (token_ < choice_.logprobs.size()) {
    list.write(out, choice_, choice_.logprobs[token_++], texts_);
  }
  if (token_ < choice_.logprobs.size()) return true;
  out.end_array();
  token_ = 0;
  if (++list_ < lists.size()) return true;
  if (form_ == AnswerForm::kChat) out.key("refusal").null();
  out.end_object();
  return true;
}

void write_logprobs(JsonWriter& out, AnswerForm form, const Choice& choice,
                    const TokenTexts& texts) {
  if (!choice.with_logprobs) {
    out.null();
    return;
  }
  LogprobsWriter writer(form, choice, texts);
  while (writer.step(out)) {
  }
}

}  // namespace quire::proto
