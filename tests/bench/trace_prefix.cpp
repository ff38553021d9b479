// Hit rates of the real prefix cache under a public trace with prefix hashes, beside an independent
// least recently used model and the clairvoyant optimum.
//
//   trace_prefix [FILE, ../shared/data/traces/mooncake_synthetic.jsonl] [CAPACITY ...]
//
// A line's hash_ids name its blocks of 512 tokens. A page of the cache stands for one of them: 16
// tokens made from the id, so that equal prompts are equal by their tokens. Requests come one after
// the other: claim, commit, free. Exit status 0: at least 95 % of the model's hits everywhere; 77:
// no trace.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cache/kv_cache_manager.h"
#include "tests/bench/lru_model.h"

namespace quire::bench {
namespace {

constexpr std::int32_t kPage = 16;  // tokens
constexpr double kLeastShare = 0.95;

Requests read_trace(const char* path) {
  std::ifstream in(path);
  Requests requests;
  std::string line;
  while (std::getline(in, line)) {
    if (line.empty()) continue;
    requests.push_back(nlohmann::json::parse(line).at("hash_ids").get<std::vector<std::int32_t>>());
  }
  return requests;
}

// The tokens of the blocks, and one more: the last token of a prompt is always computed, so the
// blocks before it can all be hits.
void tokens_of(const std::vector<std::int32_t>& blocks, std::vector<TokenId>& tokens) {
  tokens.clear();
  for (const std::int32_t id : blocks) {
    // As a real tokenizer's ids repeat: only all of them together are the block's own.
    for (std::int32_t i = 0; i < kPage; ++i) tokens.push_back(50 + ((id >> 2 * i) & 3));
  }
  tokens.push_back(1);
}

struct Hits {
  std::int64_t blocks = 0;
  std::int64_t evictions = 0;
};

Hits replay(const Requests& requests, std::size_t capacity) {
  // Beside the capacity a page for the token that is always computed.
  cache::KvCacheManager cache(
      {.num_blocks = static_cast<std::int32_t>(capacity + 1), .hash_seed = 1},
      {.groups = {{.num_layers = 1, .num_kv_heads = 1, .head_dim = 8, .block_size = kPage}}});
  Hits hits;
  std::vector<TokenId> tokens;
  for (const auto& request : requests) {
    tokens_of(request, tokens);
    const auto length = static_cast<std::int64_t>(tokens.size());
    cache::SequenceBlocks blocks;
    cache.make_room_in(blocks, length);
    const auto reused = cache.claim(blocks, {.tokens = tokens, .max_reused = length - 1});
    CHECK(reused.has_value());
    hits.blocks += *reused / kPage;
    cache.finish_copies();
    cache.commit(blocks, {}, tokens, length);
    cache.free(blocks);
  }
  hits.evictions = cache.stats().evictions;
  return hits;
}

int run(int argc, char** argv) {
  const char* path = argc > 1 ? argv[1] : "../shared/data/traces/mooncake_synthetic.jsonl";
  const Requests requests = read_trace(path);
  if (requests.empty()) {
    std::printf("no trace at %s: skipped\n", path);
    return 77;
  }
  std::int64_t total = 0;
  std::size_t longest = 0;
  std::vector<std::int32_t> ids;
  for (const auto& request : requests) {
    total += static_cast<std::int64_t>(request.size());
    longest = std::max(longest, request.size());
    ids.insert(ids.end(), request.begin(), request.end());
  }
  std::sort(ids.begin(), ids.end());
  const auto distinct = static_cast<std::size_t>(std::unique(ids.begin(), ids.end()) - ids.begin());
  std::printf("%zu requests, %lld blocks of 512 tokens, %zu of them distinct, %zu in the longest\n",
              requests.size(), static_cast<long long>(total), distinct, longest);
  std::vector<std::size_t> capacities{distinct};
  for (int i = 2; i < argc; ++i) capacities.push_back(std::strtoull(argv[i], nullptr, 10));
  if (argc <= 2) capacities.insert(capacities.end(), {20000, 5000, 1000});

  std::printf("%10s %10s %10s %10s %14s %12s\n", "capacity", "cache", "LRU model", "optimum",
              "cache / model", "evictions");
  bool good = true;
  for (const std::size_t capacity : capacities) {
    if (capacity < longest) continue;  // a prompt that does not fit is refused
    const Hits hits = replay(requests, capacity);
    const std::int64_t model = lru_hits(requests, capacity);
    const double share = static_cast<double>(hits.blocks) / static_cast<double>(model);
    const auto percent = [&](std::int64_t blocks) {
      return 100.0 * static_cast<double>(blocks) / static_cast<double>(total);
    };
    std::printf("%10zu %9.2f%% %9.2f%% %9.2f%% %14.4f %12lld\n", capacity, percent(hits.blocks),
                percent(model), percent(belady_hits(requests, capacity)), share,
                static_cast<long long>(hits.evictions));
    good = good && share >= kLeastShare;
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace quire::bench

int main(int argc, char** argv) { return quire::bench::run(argc, argv); }
