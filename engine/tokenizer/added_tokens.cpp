#include "engine/tokenizer/added_tokens.h"

#include <algorithm>

#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/utf8.h"
#include "proto/check.h"

namespace quire::engine {

TokenTrie::TokenTrie() { roots_.fill(kNone); }

std::uint32_t TokenTrie::child(std::uint32_t node, char byte) const {
  std::uint32_t i = nodes_[node].first_child;
  while (i != kNone && nodes_[i].byte != byte) i = nodes_[i].sibling;
  return i;
}

void TokenTrie::add(std::string_view text, std::uint32_t value) {
  CHECK(!text.empty());
  const auto new_node = [&](char byte, std::uint32_t sibling) {
    nodes_.push_back({kNone, kNone, sibling, byte});
    return static_cast<std::uint32_t>(nodes_.size() - 1);
  };
  std::uint32_t& root = roots_[static_cast<unsigned char>(text[0])];
  if (root == kNone) root = new_node(text[0], kNone);
  std::uint32_t node = root;
  for (const char byte : text.substr(1)) {
    std::uint32_t next = child(node, byte);
    if (next == kNone) {
      next = new_node(byte, nodes_[node].first_child);
      nodes_[node].first_child = next;
    }
    node = next;
  }
  if (nodes_[node].value == kNone) nodes_[node].value = value;
}

bool TokenTrie::find(std::string_view text, std::size_t from, Match& match) const {
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    std::uint32_t node = roots_[static_cast<unsigned char>(text[begin])];
    match.end = begin;
    for (std::size_t i = begin + 1; node != kNone; ++i) {
      if (nodes_[node].value != kNone) match = {begin, i, nodes_[node].value};
      if (i == text.size()) break;
      node = child(node, text[i]);
    }
    if (match.end > begin) return true;
  }
  return false;
}

void AddedTokens::add(AddedToken token) {
  trie_.add(token.pattern, static_cast<std::uint32_t>(tokens_.size()));
  tokens_.push_back(std::move(token));
}

// Where the template's words that stand at `position` end; `position` itself where it has none.
std::size_t TokenSplitter::template_end(std::size_t position) const {
  const auto run = std::ranges::upper_bound(runs_, offset_ + position, {}, &TextRun::end);
  if (run == runs_.end() || run->origin != TextOrigin::kTemplate) return position;
  return std::min(run->end - offset_, text_.size());
}

bool TokenSplitter::is_wanted(const AddedToken& token, const TokenTrie::Match& match) const {
  if (token.special && !parse_special_ && template_end(match.begin) < match.end) return false;
  if (!token.single_word) return true;
  const std::string_view before = text_.substr(0, match.begin);
  const std::string_view after = text_.substr(match.end);
  return (before.empty() || !is_word_character(last_code_point(before).value)) &&
         (after.empty() || !is_word_character(first_code_point(after).value));
}

// The next match that is wanted. Text that matched but is not wanted stays plain, and nothing else
// is looked for inside it; but the template's own words keep their tokens, whatever stands beside.
bool TokenSplitter::find_match(TokenTrie::Match& match) {
  while (tokens_.trie().find(text_, searched_, match)) {
    if (is_wanted(tokens_.token(match.value), match)) return true;
    if (runs_.empty()) {
      searched_ = match.end;
      continue;
    }
    const std::size_t begin = match.begin;
    const std::size_t end = template_end(begin);
    if (end > begin && tokens_.trie().find(text_.substr(0, end), begin, match) &&
        match.begin == begin && is_wanted(tokens_.token(match.value), match)) {
      return true;
    }
    searched_ = begin + 1;
  }
  return false;
}

bool TokenSplitter::find_token() {
  TokenTrie::Match match;
  if (!find_match(match)) {
    searched_ = text_.size();
    return false;
  }
  searched_ = match.end;
  const AddedToken& token = tokens_.token(match.value);
  while (token.lstrip && match.begin > position_) {
    const CodePoint c = last_code_point(text_.substr(position_, match.begin - position_));
    if (!is_white_space(c.value)) break;
    match.begin -= c.length;
  }
  while (token.rstrip && match.end < text_.size()) {
    const CodePoint c = first_code_point(text_.substr(match.end));
    if (!is_white_space(c.value)) break;
    match.end += c.length;
  }
  token_ = {match.begin, match.end, token.id};
  return true;
}

bool TokenSplitter::next(TextSegment& segment) {
  if (!has_token_) has_token_ = find_token();
  const std::size_t plain_end = has_token_ ? token_.begin : text_.size();
  if (position_ < plain_end) {
    segment = {position_, plain_end, kNoToken};
    position_ = plain_end;
    return true;
  }
  if (!has_token_) return false;
  segment = token_;
  position_ = std::max(position_, token_.end);
  has_token_ = false;
  return true;
}

}  // namespace quire::engine
