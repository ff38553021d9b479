#include "proto/page_json.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include "proto/json_writer.h"

namespace quire::proto {
namespace {

using Request = PageSnapshot::Request;
using Owner = std::pair<BlockId, SequenceId>;

// Unchanged blocks between two changed ones that are told along: a run of its own takes more bytes.
constexpr std::size_t kShortGap = 8;

std::string_view word(PageState state) {
  switch (state) {
    case PageState::kFree:
      return "free";
    case PageState::kCached:
      return "cached";
    case PageState::kRunning:
      return "running";
    case PageState::kShared:
      break;
  }
  return "shared";
}

std::string_view word(char request_state) {
  switch (request_state) {
    case 'r':
      return "running";
    case 'p':
      return "paused";
    case 's':
      return "swapped";
    default:
      return "waiting";
  }
}

std::int64_t number(SequenceId id) { return static_cast<std::int64_t>(id); }

std::vector<Owner> owners_of(const PageSnapshot& snapshot) {
  std::vector<Owner> owners;
  owners.reserve(snapshot.tables.size());
  for (const Request& request : snapshot.requests) {
    for (std::int32_t i = request.table_begin; i < request.table_end; ++i) {
      owners.emplace_back(snapshot.tables[static_cast<std::size_t>(i)], request.id);
    }
  }
  std::ranges::sort(owners);
  return owners;
}

// Those of `block`; `owners` is sorted.
std::span<const Owner> owners_of(std::span<const Owner> owners, std::size_t block) {
  const BlockId id{static_cast<std::int32_t>(block)};
  const auto [first, last] =
      std::ranges::equal_range(owners, id, std::less<>{}, [](const Owner& o) { return o.first; });
  return {first, last};
}

bool alike(const PageSnapshot& snapshot, std::size_t a, std::size_t b) {
  return snapshot.states[a] == snapshot.states[b] && snapshot.ref_counts[a] == 0 &&
         snapshot.ref_counts[b] == 0 && snapshot.groups[a] == snapshot.groups[b] &&
         snapshot.changed_at[a] == snapshot.changed_at[b];
}

void write_block(JsonWriter& json, const PageSnapshot& snapshot, std::size_t block,
                 std::size_t count, std::span<const Owner> owners) {
  json.begin_object().key("id").integer(static_cast<std::int64_t>(block));
  if (count > 1) json.key("count").integer(static_cast<std::int64_t>(count));
  json.key("state").text(word(snapshot.states[block]));
  json.key("ref_count").integer(snapshot.ref_counts[block]);
  json.key("group");
  snapshot.groups[block] < 0 ? json.null() : json.integer(snapshot.groups[block]);
  json.key("tier").text("device");
  const auto step = static_cast<std::uint32_t>(snapshot.step);
  json.key("age_steps").integer(std::int64_t{step - snapshot.changed_at[block]});
  json.key("owners").begin_array();
  for (const Owner& owner : owners) json.integer(number(owner.second));
  json.end_array().end_object();
}

void write_request(JsonWriter& json, const Request& request) {
  json.begin_object().key("id").integer(number(request.id));
  json.key("state").text(word(request.state));
  json.key("prompt_tokens").integer(request.num_prompt_tokens);
  json.key("tokens").integer(request.num_tokens);
  json.key("computed_tokens").integer(request.num_computed);
  json.key("preemptions").integer(request.num_preemptions);
  json.key("blocks").integer(request.table_end - request.table_begin).end_object();
}

void write_head(JsonWriter& json, const PageSnapshot& snapshot) {
  using std::chrono::duration_cast, std::chrono::milliseconds;
  json.key("step").integer(static_cast<std::int64_t>(snapshot.step));
  json.key("time_ms").integer(
      duration_cast<milliseconds>(snapshot.time.time_since_epoch()).count());
  json.key("num_blocks").integer(static_cast<std::int64_t>(snapshot.num_blocks()));
  json.key("block_size").integer(snapshot.block_size);
  json.key("page_bytes").integer(snapshot.page_bytes);
  json.key("swapped").begin_object().key("tier").text("host");
  json.key("pages").integer(snapshot.swapped_pages);
  json.key("of").integer(snapshot.host_pages).end_object();
}

// Those that run first, then by age.
std::vector<Request> in_order(std::vector<Request> requests) {
  std::ranges::sort(requests, {}, [](const Request& r) {
    return std::pair(r.state == 'w' || r.state == 's', r.id);
  });
  return requests;
}

void write_runs(JsonWriter& json, std::span<const PageState> states) {
  std::string runs;
  append_runs(runs, states);
  json.text(runs);
}

void write_changes(JsonWriter& json, const PageSnapshot& before, const PageSnapshot& now) {
  json.key("changes").begin_array();
  const std::size_t count = now.num_blocks();
  for (std::size_t i = 0; i < count; ++i) {
    if (before.states[i] == now.states[i]) continue;
    std::size_t end = i + 1;
    for (std::size_t at = end; at < count && at - end < kShortGap; ++at) {
      if (before.states[at] != now.states[at]) end = at + 1;
    }
    json.begin_array().integer(static_cast<std::int64_t>(i));
    write_runs(json, std::span(now.states).subspan(i, end - i));
    json.end_array();
    i = end - 1;
  }
  json.end_array();
}

}  // namespace

void append_runs(std::string& out, std::span<const PageState> states) {
  for (std::size_t i = 0; i < states.size();) {
    std::size_t end = i + 1;
    while (end < states.size() && states[end] == states[i]) ++end;
    out += static_cast<char>(states[i]);
    if (end - i > 1) out += std::to_string(end - i);
    i = end;
  }
}

std::string pages_body(const PageSnapshot& snapshot) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("object").text("quire.pages");
  write_head(json, snapshot);
  json.key("requests").begin_array();
  for (const Request& request : in_order(snapshot.requests)) write_request(json, request);
  json.end_array().key("blocks").begin_array();
  const std::vector<Owner> owners = owners_of(snapshot);
  for (std::size_t i = 0; i < snapshot.num_blocks();) {
    std::size_t end = i + 1;
    while (end < snapshot.num_blocks() && alike(snapshot, i, end)) ++end;
    write_block(json, snapshot, i, end - i, owners_of(owners, i));
    i = end;
  }
  json.end_array().end_object();
  return out;
}

std::optional<std::string> request_pages_body(const PageSnapshot& snapshot, SequenceId id) {
  const auto found = std::ranges::find(snapshot.requests, id, &Request::id);
  if (found == snapshot.requests.end()) return std::nullopt;
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("request");
  write_request(json, *found);
  json.key("runs").begin_array();
  for (std::int32_t i = found->table_begin; i < found->table_end;) {
    const auto first = static_cast<std::int32_t>(snapshot.tables[static_cast<std::size_t>(i)]);
    std::int32_t count = 1;
    const auto follows = [&](std::int32_t at) {
      return snapshot.tables[static_cast<std::size_t>(at)] == BlockId{first + at - i};
    };
    while (i + count < found->table_end && follows(i + count)) ++count;
    json.begin_array().integer(first).integer(count).end_array();
    i += count;
  }
  json.end_array().end_object();
  return out;
}

std::optional<std::string> block_body(const PageSnapshot& snapshot, std::int64_t block) {
  if (block < 0 || block >= static_cast<std::int64_t>(snapshot.num_blocks())) return std::nullopt;
  const auto index = static_cast<std::size_t>(block);
  const std::vector<Owner> owners = owners_of(snapshot);
  std::string out;
  JsonWriter json(out);
  write_block(json, snapshot, index, 1, owners_of(owners, index));
  return out;
}

std::string page_event(const PageSnapshot* before, const PageSnapshot& now, std::uint64_t version,
                       std::string_view stats) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("version").integer(static_cast<std::int64_t>(version));
  write_head(json, now);
  if (before != nullptr && before->num_blocks() == now.num_blocks()) {
    write_changes(json, *before, now);
  } else {
    json.key("all");
    write_runs(json, now.states);
  }
  // Rows of a table: id, state, prompt tokens, tokens, computed, preemptions, blocks.
  json.key("requests").begin_array();
  const std::vector<Request> requests = in_order(now.requests);
  for (std::size_t i = 0; i < std::min(requests.size(), kMaxEventRequests); ++i) {
    const Request& request = requests[i];
    json.begin_array().integer(number(request.id)).text({&request.state, 1});
    json.integer(request.num_prompt_tokens).integer(request.num_tokens);
    json.integer(request.num_computed).integer(request.num_preemptions);
    json.integer(request.table_end - request.table_begin).end_array();
  }
  json.end_array().key("num_requests").integer(static_cast<std::int64_t>(requests.size()));
  json.end_object();
  out.pop_back();
  return out.append(",\"stats\":").append(stats).append("}");
}

}  // namespace quire::proto
