// What /pages says of a pool, against the pool it was made from.

#include "proto/page_json.h"

#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::proto {
namespace {

using nlohmann::json;

PageSnapshot pool(std::string_view states) {
  PageSnapshot snapshot;
  snapshot.step = 10;
  snapshot.block_size = 16;
  snapshot.page_bytes = 4096;
  for (const char c : states) snapshot.states.push_back(PageState{c});
  snapshot.ref_counts.assign(states.size(), 0);
  snapshot.groups.assign(states.size(), -1);
  snapshot.changed_at.assign(states.size(), 4);
  return snapshot;
}

void add_request(PageSnapshot& snapshot, int id, std::initializer_list<int> blocks) {
  PageSnapshot::Request request{.id = SequenceId{static_cast<std::uint64_t>(id)}, .state = 'r'};
  request.table_begin = static_cast<std::int32_t>(snapshot.tables.size());
  for (const int block : blocks) {
    snapshot.tables.push_back(BlockId{block});
    ++snapshot.ref_counts[static_cast<std::size_t>(block)];
  }
  request.table_end = static_cast<std::int32_t>(snapshot.tables.size());
  snapshot.requests.push_back(request);
}

std::string expand(const std::string& runs) {
  std::string states;
  for (std::size_t i = 0; i < runs.size();) {
    const char state = runs[i++];
    std::string digits;
    while (i < runs.size() && runs[i] >= '0' && runs[i] <= '9') digits += runs[i++];
    states.append(digits.empty() ? 1 : std::stoul(digits), state);
  }
  return states;
}

std::string letters(const PageSnapshot& snapshot) {
  std::string text;
  for (const PageState state : snapshot.states) text += static_cast<char>(state);
  return text;
}

TEST_CASE("runs of states are a letter and a count") {
  std::string out;
  append_runs(out, pool("rrrfccccccccccccs").states);
  CHECK(out == "r3fc12s");
}

TEST_CASE("the whole answer names every block once, with its owners") {
  PageSnapshot snapshot = pool("srffcc");
  add_request(snapshot, 7, {0, 1});
  add_request(snapshot, 3, {0});
  const json body = json::parse(pages_body(snapshot));
  CHECK(body.at("num_blocks") == 6);
  CHECK(body.at("requests").size() == 2);
  CHECK(body.at("requests")[0].at("id") == 3);
  std::size_t told = 0;
  for (const json& block : body.at("blocks")) told += block.value("count", 1u);
  CHECK(told == 6);
  CHECK(body.at("blocks")[0].at("owners") == json{3, 7});
  CHECK(body.at("blocks")[0].at("ref_count") == 2);
  CHECK(body.at("blocks")[1].at("owners") == json{7});
  CHECK(body.at("blocks")[2].at("state") == "free");
  CHECK(body.at("blocks")[2].at("count") == 2);
  CHECK(body.at("blocks")[3].at("state") == "cached");
  CHECK(body.at("blocks")[3].at("age_steps") == 6);
}

TEST_CASE("a request's blocks, and a block's requests") {
  PageSnapshot snapshot = pool("rrrrffr");
  add_request(snapshot, 5, {1, 2, 3, 0, 6});
  const json body = json::parse(request_pages_body(snapshot, SequenceId{5}).value());
  CHECK(body.at("runs") == json::parse("[[1,3],[0,1],[6,1]]"));
  CHECK_FALSE(request_pages_body(snapshot, SequenceId{6}).has_value());
  CHECK(json::parse(block_body(snapshot, 6).value()).at("owners") == json{5});
  CHECK_FALSE(block_body(snapshot, 7).has_value());
  CHECK_FALSE(block_body(snapshot, -1).has_value());
}

TEST_CASE("changes applied to what was there give what is there") {
  std::mt19937 random(3);
  const std::string states = "fcrs";
  PageSnapshot before = pool(std::string(500, 'f'));
  for (int round = 0; round < 50; ++round) {
    PageSnapshot now = before;
    for (int i = 0; i < round; ++i) {
      now.states[random() % 500] = PageState{states[random() % 4]};
    }
    std::string shown = letters(before);
    const json event = json::parse(page_event(&before, now, 2, "{}"));
    for (const json& change : event.at("changes")) {
      const std::string run = expand(change[1].get<std::string>());
      shown.replace(change[0].get<std::size_t>(), run.size(), run);
    }
    CHECK(shown == letters(now));
    CHECK(expand(json::parse(page_event(nullptr, now, 2, "{}")).at("all").get<std::string>()) ==
          letters(now));
    before = now;
  }
}

TEST_CASE("an event lists no more requests than it may, those that run first") {
  PageSnapshot snapshot = pool("f");
  for (int i = 0; i < 300; ++i) {
    add_request(snapshot, i + 1, {});
    snapshot.requests.back().state = i < 299 ? 'w' : 'r';
  }
  const json event = json::parse(page_event(nullptr, snapshot, 1, R"({"running":1})"));
  CHECK(event.at("requests").size() == kMaxEventRequests);
  CHECK(event.at("requests")[0][0] == 300);
  CHECK(event.at("num_requests") == 300);
  CHECK(event.at("stats").at("running") == 1);
}

}  // namespace
}  // namespace quire::proto
