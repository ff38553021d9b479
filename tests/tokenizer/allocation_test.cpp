// What runs once per generated token allocates nothing: counted by this program's operator new.

#include <random>

#include "engine/tokenizer/detokenizer.h"
#include "engine/tokenizer/stop_matcher.h"
#include "tests/support/allocation_count.h"
#include "tests/tokenizer/test_data.h"

namespace quire::engine {
namespace {

TEST_CASE("the counting operator new counts") {
  const std::int64_t before = quire::test::allocations_of_this_thread();
  std::string text(1000, 'x');
  CHECK(text.size() == 1000);
  CHECK(quire::test::allocations_of_this_thread() ==
        before + (quire::test::kAllocationsCounted ? 1 : 0));
}

TEST_CASE("Detokenizer::push and StopMatcher::push allocate nothing given room") {
  for (const char* name : {"gpt2", "llama2", "metaspace_split", "unknowns"}) {
    const std::unique_ptr<Tokenizer> tokenizer = test::load_golden(name);
    const std::size_t room = tokenizer->max_token_bytes() * 3 + 16;
    Detokenizer detokenizer(*tokenizer, false, false);
    StopMatcher matcher({"never to be found", "qqqq", std::string(256, 'a')}, false);
    std::mt19937 random(3);
    std::string piece;
    std::string out;
    piece.reserve(room);
    out.reserve(room + 256);
    const std::int64_t before = quire::test::allocations_of_this_thread();
    for (int i = 0; i < 20000; ++i) {
      piece.clear();
      out.clear();
      detokenizer.push(static_cast<TokenId>(random() % tokenizer->vocab_size()), piece);
      matcher.push(piece, out);
      matcher.push("aaaa", out);
    }
    const std::int64_t after = quire::test::allocations_of_this_thread();
    CHECK(after == before);
  }
}

}  // namespace
}  // namespace quire::engine
