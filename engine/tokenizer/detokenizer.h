#pragma once
// Detokenizer: tokens of one running sequence to text, a token at a time.
//
// Lifetime: one per choice; the tokenizer outlives it. Not thread-safe.
// 1. What push() appends is always whole valid UTF-8: bytes of an unfinished character are held
//    back (at most 3), invalid ones become U+FFFD per maximal subpart (Unicode, section 3.9).
// 2. The concatenation of all push() outputs and finish() does not depend on how tokens arrive.
// 3. push() allocates nothing if `out` has max_token_bytes() * 3 + 16 of spare capacity.

#include <cstdint>
#include <string>

#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/utf8.h"

namespace quire::engine {

class Detokenizer final {
 public:
  // continues: the tokens follow a prompt, so a leading space is text and is kept.
  Detokenizer(const Tokenizer& tokenizer, bool skip_special, bool continues);

  void push(TokenId id, std::string& out);
  // Ends the text: an unfinished character becomes U+FFFD.
  void finish(std::string& out);

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  bool at_start_;            // no token has come yet
  std::uint8_t strip_left_;  // bytes that the decoder's Strip may still take
  Utf8Stream stream_;
};

}  // namespace quire::engine
