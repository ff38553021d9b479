// Sampling's text run by threads at once, each with state of its own as on the device: what one
// reads between two calls of the team is what all read, and nothing depends on who does what.

#include <array>
#include <atomic>
#include <barrier>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "engine/backend/cuda/sample_row.h"
#include "tests/backend/cuda/host_team.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine::cuda {
namespace {

using testing::HostTeam;

constexpr std::int32_t kThreads = 3;
constexpr std::int32_t kVocab = 2500;
constexpr std::int64_t kTops = 8;

struct ThreadTeam {
  std::barrier<>* barrier;
  std::int32_t rank;

  template <typename Function>
  void each(std::int32_t n, Function function) const {
    barrier->arrive_and_wait();
    for (std::int32_t i = rank; i < n; i += kThreads) function(i);
    barrier->arrive_and_wait();
  }
  template <typename Function>
  void once(Function function) const {
    barrier->arrive_and_wait();
    if (rank == 0) function();
    barrier->arrive_and_wait();
  }
  std::uint32_t count(std::uint32_t* word) const { return std::atomic_ref(*word).fetch_add(1); }
  void mark(std::uint32_t* word, std::uint32_t bits) const {
    std::atomic_ref(*word).fetch_or(bits);
  }
};

// Rows for every way through the chain, and room for what comes out.
struct Rows {
  explicit Rows(std::size_t count)
      : logits(count * kVocab),
        rows(count),
        results(count),
        tops(count * static_cast<std::size_t>(kTops)),
        workspace(2 * logits.size()) {
    std::mt19937 random(17);
    std::normal_distribution<float> normal(0.0f, 2.0f);
    for (float& logit : logits) {
      logit = random() % 3 == 0 ? std::round(normal(random)) : normal(random);
    }
    for (std::size_t r = 0; r < count; ++r) {
      QuireCudaSampleRow& row = rows[r];
      row.uniform = std::uniform_real_distribution<double>()(random);
      row.temperature = r % 7 == 0 ? 0.0f : 1.0f;
      row.top_p = r % 3 == 0 ? 0.6f : 1.0f;
      row.top_k = r % 4 == 1 ? 40 : 0;
      row.min_p = r % 5 == 2 ? 0.05f : 0.0f;
      row.repetition_penalty = 1.25f;
      row.frequency_penalty = 0.5f;
      row.active = 1;
      row.target = -1;
      row.num_top = r % 2 == 0 ? static_cast<std::int32_t>(kTops) : -1;
      row.adjusted = r % 3 == 1 ? 1 : 0;
      if (row.adjusted != 0) add_lists(row, random);
    }
    // Half of two equal weights' sum, which the others are too small to change: the exact chain.
    std::fill_n(logits.begin(), kVocab, -38.0f);
    logits[4] = logits[9] = 0.0f;
    rows[0].temperature = 1.0f;
    rows[0].top_p = 0.5f;
    logits[kVocab + 3] = std::nanf("");
  }
  void add_lists(QuireCudaSampleRow& row, std::mt19937& random) {
    row.bias_begin = static_cast<std::int32_t>(lists.size());
    row.num_biases = 2;
    const float bias = 1.5f;
    std::int32_t bits = 0;
    std::memcpy(&bits, &bias, sizeof bits);
    lists.insert(lists.end(), {5, bits, 6, bits});
    row.masked_begin = static_cast<std::int32_t>(lists.size());
    row.num_masked = 2;
    lists.insert(lists.end(), {6, 8});
    row.history_begin = static_cast<std::int32_t>(lists.size());
    row.num_history = 200;
    row.num_prompt = 50;
    for (int i = 0; i < 200; ++i) lists.push_back(static_cast<std::int32_t>(random() % 60));
  }
  QuireCudaOp op() {
    QuireCudaOp op{};
    op.x = {.data = logits.data(),
            .rows = static_cast<std::int64_t>(rows.size()),
            .cols = kVocab,
            .row_stride = kVocab};
    op.sample = {.rows = rows.data(),
                 .lists = lists.data(),
                 .results = results.data(),
                 .tops = tops.data(),
                 .top_stride = kTops};
    op.workspace = workspace.data();
    return op;
  }

  std::vector<float> logits;
  std::vector<QuireCudaSampleRow> rows;
  std::vector<std::int32_t> lists;
  std::vector<QuireCudaSampleResult> results;
  std::vector<QuireCudaSampleTop> tops;
  std::vector<float> workspace;
};

template <typename T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

TEST_CASE("threads at once sample what one after another does") {
  constexpr std::int32_t kRows = 60;
  Rows alone(kRows);
  Rows together(kRows);
  const QuireCudaOp op = alone.op();
  const auto shared = std::make_unique<SampleShared>();
  for (std::int32_t r = 0; r < kRows; ++r) RowSampler<HostTeam>({}, *shared, op, r).run();

  const QuireCudaOp same = together.op();
  std::barrier<> barrier(kThreads);
  std::vector<std::jthread> threads;
  for (std::int32_t rank = 0; rank < kThreads; ++rank) {
    threads.emplace_back([&, rank] {
      for (std::int32_t r = 0; r < kRows; ++r) {
        RowSampler<ThreadTeam>({&barrier, rank}, *shared, same, r).run();
      }
    });
  }
  threads.clear();
  REQUIRE(same_bytes(alone.results, together.results));
  REQUIRE(same_bytes(alone.tops, together.tops));
  std::array<int, 3> seen{};
  for (const QuireCudaSampleResult& result : alone.results) ++seen[result.status];
  REQUIRE((seen[kQuireCudaSampled] > 40 && seen[kQuireCudaSampleFault] == 1));
}

}  // namespace
}  // namespace quire::engine::cuda
