#include "server/commands/bench_stream.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <string>
#include <vector>

namespace quire::server {
namespace {

const std::string kText = R"(data: {"choices":[{"index":0,"text":"a","finish_reason":null}]})";
const std::string kFinish = R"(data: {"choices":[{"index":0,"text":"","finish_reason":"length"}]})";
const std::string kUsage =
    R"(data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}})";
const std::string kDone = "data: [DONE]";

std::string joined(const std::vector<std::string>& events, const std::string& end = "\n\n") {
  std::string body;
  for (const std::string& event : events) body += event + end;
  return body;
}

std::string failure_of(const std::string& body) {
  StreamCheck check;
  check.feed(body, 1.0);
  return check.finish(1.0).failure;
}

}  // namespace

TEST_CASE("a right stream is measured") {
  StreamCheck check;
  check.feed(": ping\n\n", 0.25);
  check.feed(R"(data: {"choices":[{"index":0,"text":"","finish_reason":null}]})"
             "\n\n",
             0.5);
  check.feed(kText + "\n\n", 1.0);
  check.feed(kText + "\n\n" + kText + "\n\n", 1.5);
  check.feed(joined({kFinish, kUsage, kDone}), 2.0);
  const BenchResult result = check.finish(2.5);
  CHECK(result.failure.empty());
  CHECK(result.first_text == 1.0);
  CHECK(result.last_text == 1.5);
  CHECK(result.end == 2.5);
  CHECK(result.gaps == std::vector<float>{0.5f, 0.0f});
  CHECK(result.prompt_tokens == 3);
  CHECK(result.completion_tokens == 2);
}

TEST_CASE("a stream may be cut anywhere and end its lines as HTTP does") {
  for (const std::string end : {"\n\n", "\r\n\r\n"}) {
    const std::string body = joined({kText, kFinish, kUsage, kDone}, end);
    StreamCheck check;
    for (const char byte : body) check.feed({&byte, 1}, 1.0);
    CHECK(check.finish(1.0).failure.empty());
  }
}

TEST_CASE("every wrong end has its reason") {
  CHECK(failure_of("") == "ended without a finish_reason");
  CHECK(failure_of(joined({kText})) == "ended without a finish_reason");
  CHECK(failure_of(joined({kText, kDone})) == "ended without a finish_reason");
  CHECK(failure_of(joined({kText, kFinish, kUsage})) == "ended without [DONE]");
  CHECK(failure_of(joined({kText, kFinish, kDone})) == "ended without usage");
  const std::string long_usage =
      R"(data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}})";
  CHECK(failure_of(joined({kFinish, long_usage, kDone})) == "ended without text");
  CHECK(failure_of(joined({kFinish, kUsage, kDone})).empty());  // pieces of one character
  CHECK(failure_of(joined({kText, kFinish, kUsage, kDone, kText})) == "an event after [DONE]");
  CHECK(failure_of(joined({kText, kFinish, kFinish, kUsage, kDone})) ==
        "two finish_reasons for one choice");
  CHECK(failure_of(joined({kFinish, kText, kUsage, kDone})) == "text after the finish_reason");
  CHECK(failure_of(joined({kText, kFinish, kUsage}) + "data: [DO") ==
        "ended in the middle of an event");
  CHECK(failure_of(joined({kText, kFinish, kUsage}) + "data: [DONE]\n") ==
        "ended in the middle of an event");
}

TEST_CASE("events that are no chunks have their reasons") {
  CHECK(failure_of("data: {\n\n") == "an event is no JSON object");
  CHECK(failure_of("data: []\n\n") == "an event is no JSON object");
  CHECK(failure_of("data: {}\n\n") == "a chunk without choices");
  CHECK(failure_of("data: {\"choices\":[1]}\n\n") == "a choice is no JSON object");
  CHECK(failure_of("data: {\"choices\":[{\"index\":0}]}\n\n") == "a choice without text");
  CHECK(failure_of("data: {\"choices\":[{\"index\":1,\"text\":\"\"}]}\n\n") ==
        "a choice that was not asked for");
  CHECK(failure_of(R"(data: {"choices":[{"index":0,"text":"","finish_reason":"error"}]})"
                   "\n\n") == "finish_reason is not stop or length");
  CHECK(failure_of(R"(data: {"error":{"message":"broken","code":null}})"
                   "\n\n") == "an error in the stream: broken");
  CHECK(failure_of(R"(data: {"choices":[],"usage":{"prompt_tokens":"3"}})"
                   "\n\n") == "usage without token counts");
}

TEST_CASE("a body that says no is quoted, shortened") {
  CHECK(error_message_of(R"({"error":{"message":"no"}})") == "no");
  CHECK(error_message_of(R"({"error":"no"})") == "no");
  CHECK(error_message_of("<html>") == "");
  CHECK(error_message_of("[]") == "");
  CHECK(error_message_of(R"({"error":{"message":")" + std::string(1000, 'x') + "\"}}").size() ==
        200);
}

}  // namespace quire::server
