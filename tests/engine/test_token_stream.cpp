// The two sides of a stream by turns, on one thread: the orders that an engine thread and a reader
// come by seldom.

#include "engine/token_stream.h"

#include "engine/token_stream_state.h"
#include "tests/engine/fake_engine.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

using Push = StreamState::Push;

struct OneChoice {
  explicit OneChoice(std::size_t text_bytes) {
    state->mailbox = std::make_shared<Mailbox>();
    state->choices.emplace_back(*tokenizer, true, StopMatcher({}, false),
                                ChoiceBuffer::Limits{.text_bytes = text_bytes});
  }
  // No engine takes what the stream posted, which points back to it.
  ~OneChoice() {
    state->mailbox->dead = true;
    state->mailbox->content.clear();
  }
  Push push() {
    scheduler::TokenEvent event;
    event.token = testing::id_of('a');
    return state->push(0, event, {});
  }
  std::size_t drain() {
    std::vector<Delta> deltas;
    stream.drain(deltas);
    return deltas.empty() ? 0 : deltas[0].text.size();
  }

  std::unique_ptr<Tokenizer> tokenizer = testing::ascii_tokenizer();
  std::shared_ptr<StreamState> state = std::make_shared<StreamState>();
  TokenStream stream{state};
};

}  // namespace

TEST_CASE("a token of a step in flight does not hide that its choice is full") {
  OneChoice one(3);
  CHECK(one.push() == Push::kOpen);
  CHECK(one.push() == Push::kOpen);
  REQUIRE(one.push() == Push::kFull);  // the engine pauses the sequence
  REQUIRE(one.drain() == 3);
  CHECK(one.state->mailbox->content.resumes.size() == 1);
  // It was computed before the pause. The engine takes the resume after it.
  CHECK(one.push() == Push::kFull);
  CHECK(one.state->choices[0].full);
  CHECK(one.drain() == 1);
  CHECK(one.state->mailbox->content.resumes.size() == 1);
}

TEST_CASE("a full choice asks to go on once, when it is drained") {
  OneChoice one(1);
  CHECK(one.push() == Push::kFull);
  CHECK(one.state->mailbox->content.resumes.empty());
  CHECK(one.drain() == 1);
  CHECK(one.drain() == 0);
  CHECK(one.state->mailbox->content.resumes.size() == 1);
}

}  // namespace quire::engine
