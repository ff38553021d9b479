// Ten mebibytes of one kind of character are encoded like any other text, on a small stack.

#include <pthread.h>

#include <functional>

#include "engine/tokenizer/utf8.h"
#include "tests/tokenizer/test_data.h"

namespace quire::engine {
namespace {

// Sanitizers cost ten times the time and the stack.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kBytes = std::size_t{1} << 20;
constexpr std::size_t kStackBytes = std::size_t{1} << 20;
#else
constexpr std::size_t kBytes = std::size_t{10} << 20;
constexpr std::size_t kStackBytes = std::size_t{256} << 10;
#endif

void* call(void* function) {
  (*static_cast<std::function<void()>*>(function))();
  return nullptr;
}

void run_on_small_stack(std::function<void()> function) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  REQUIRE(pthread_attr_setstacksize(&attributes, kStackBytes) == 0);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, &attributes, call, &function) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

std::string repeated(const std::string& unit, std::size_t bytes) {
  std::string text;
  text.reserve(bytes + unit.size());
  while (text.size() < bytes) text += unit;
  return text;
}

const std::vector<std::string> kClasses = {"A",
                                           " ",
                                           "\n",
                                           "7",
                                           "的",
                                           "\u0301",
                                           "\u0301\u0323",
                                           "👨‍👩‍👧‍👦",
                                           ".",
                                           "a1 .\n",
                                           "é",
                                           "\xFF",
                                           "<|endoftext|>",
                                           "the "};

std::string encoded_and_decoded(const Tokenizer& tokenizer, const std::string& text) {
  std::string result;
  run_on_small_stack([&] {
    const std::vector<TokenId> ids = tokenizer.encode(text, {.add_special_tokens = false});
    result = tokenizer.decode(ids, false);
  });
  return result;
}

void check_round_trips(const char* name, std::size_t bytes) {
  const std::unique_ptr<Tokenizer> tokenizer = test::load_golden(name);
  for (const std::string& unit : kClasses) {
    const std::string text = std::string("x").append(repeated(unit, bytes));
    const bool same = encoded_and_decoded(*tokenizer, text) == repair_utf8(text);
    CAPTURE(name, unit);
    CHECK(same);
  }
}

TEST_CASE("ten mebibytes of each kind of character come back from a byte-level tokenizer") {
  check_round_trips("gpt2", kBytes);
}

TEST_CASE("long runs come back under every other pattern") {
  check_round_trips("llama3", kBytes / 10);
  check_round_trips("llama2", kBytes / 10);
  check_round_trips("metaspace_first", kBytes / 10);
}

TEST_CASE("marks in the worst order are normalized, not sorted one by one") {
  const std::unique_ptr<Tokenizer> tokenizer = test::load_golden("qwen2");
  // U+0301 (class 230) and U+0323 (class 220) in turn: each pair is out of order.
  const std::size_t pairs = kBytes / 4;
  const std::string text = repeated("\u0301\u0323", pairs * 4);
  const std::string ordered = repeated("\u0323", pairs * 2) + repeated("\u0301", pairs * 2);
  const bool same = encoded_and_decoded(*tokenizer, text) == ordered;
  CHECK(same);
}

}  // namespace
}  // namespace quire::engine
