#pragma once
// TokenTable: a vocabulary for tests of answers; and a whole answer, joined from its pieces.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/answer_body.h"

namespace quire::proto::testing {

class TokenTable final : public TokenTexts {
 public:
  explicit TokenTable(std::vector<std::string> texts) : texts_(std::move(texts)) {}
  [[nodiscard]] std::string_view bytes_of(TokenId token) const override {
    return texts_.at(static_cast<std::size_t>(token));
  }

 private:
  std::vector<std::string> texts_;
};

// In pieces of about `size` bytes; `longest`, if asked for, becomes the size of the longest.
[[nodiscard]] inline std::string whole_body(AnswerForm form, const ResponseHead& head,
                                            std::span<const Choice> choices, const Usage& usage,
                                            const TokenTexts& texts, std::size_t size = 1 << 16,
                                            std::size_t* longest = nullptr) {
  AnswerBody body(form, head, choices, usage, texts);
  std::string all;
  while (!body.done()) {
    const std::string_view piece = body.next(size);
    if (longest != nullptr) *longest = std::max(*longest, piece.size());
    all += piece;
  }
  return all;
}

}  // namespace quire::proto::testing
