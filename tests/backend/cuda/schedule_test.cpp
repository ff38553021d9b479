// The kernels' index arithmetic, by itself: every value of K, every row, every key in exactly one
// place, and shared memory without bank conflicts.

#include "engine/backend/cuda/schedule.h"

#include <map>
#include <random>
#include <set>
#include <tuple>
#include <vector>

#include "engine/backend/cuda/attention_plan.h"
#include "engine/backend/cuda/batch_ladder.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine::cuda {
namespace {

TEST_CASE("slices cover K once, in order, in whole lines") {
  for (std::int64_t k = 1; k < 5000; k += k < 200 ? 1 : 97) {
    INFO("K " << k);
    std::int64_t at = 0;
    for (std::int32_t s = 0; s < num_slices(k); ++s) {
      const KRange range = k_slice(k, s);
      CHECK(range.begin == at);
      CHECK(range.end > range.begin);
      CHECK(range.end % kLineK == 0);
      at = range.end;
    }
    CHECK(at == padded_k(k));
    CHECK(num_slices(k) <= kMaxSlices);
  }
}

TEST_CASE("the fragments of two instructions are 32 values of k, each once") {
  std::set<int> seen;
  for (int half = 0; half < 2; ++half) {
    for (int t = 0; t < 4; ++t) {
      for (int i = 0; i < 4; ++i) seen.insert(fragment_k(half, t, i));
    }
  }
  CHECK(seen.size() == 32);
  CHECK(*seen.begin() == 0);
  CHECK(*seen.rbegin() == 31);
}

// A 16-byte load is done in phases of 8 threads: members 0 to 3 of the quads of two rows.
TEST_CASE("a phase of a load from shared memory touches every bank once") {
  for (int row = 0; row < 64; row += 2) {
    for (int chunk = 0; chunk < 2; ++chunk) {  // of 32 values: half a line
      std::set<int> banks;
      for (int thread = 0; thread < 8; ++thread) {
        const int r = row + thread / 4;
        banks.insert(line_piece(r, chunk * 4 + thread % 4));
      }
      CHECK(banks.size() == 8);
    }
    std::set<int> pieces;
    for (int piece = 0; piece < 8; ++piece) pieces.insert(line_piece(row, piece));
    CHECK(pieces.size() == 8);
    CHECK(*pieces.rbegin() == 7);
  }
}

TEST_CASE("the number of rows chooses who computes, never the slices") {
  for (const std::int64_t n : {16, 100, 4096, 28672}) {
    for (const std::int64_t k : {64, 192, 4096, 14336}) {
      for (std::int64_t rows = 1; rows <= 600; rows += rows < 70 ? 1 : 53) {
        const LinearPlan plan = plan_linear(rows, n, k, std::int64_t{80} << 20);
        CHECK(plan.workspace <= std::int64_t{80} << 20);
        if (plan.path == LinearPath::kStream) {
          CHECK(rows <= plan.token_tile);
          CHECK(plan.blocks * plan.n_tile >= n);
        } else {
          CHECK(plan.blocks == ceil_div(n, plan.n_tile) * ceil_div(rows, plan.token_tile));
        }
        if (plan.path == LinearPath::kTileSlices) {
          CHECK(plan.workspace == num_slices(k) * rows * n * 4);
        }
      }
    }
  }
  CHECK(plan_linear(64, 4096, 4096, 0).path == LinearPath::kTileWalk);
  CHECK(plan_linear(64, 4096, 4096, std::int64_t{1} << 30).path == LinearPath::kTileSlices);
}

TEST_CASE("the ladder holds every batch, and a batch's padded tiles of logits") {
  constexpr std::int64_t kTile = 32;
  for (std::int64_t rows = 1; rows <= 1000; ++rows) {
    const std::int64_t size = ladder_size(rows);
    CHECK(size >= rows);
    CHECK(size < rows + 8);
    CHECK(ladder_size(size) == size);
    for (std::int64_t begin = 0; begin < rows; begin += kTile) {
      CHECK(begin + ladder_size(std::min(kTile, rows - begin)) <= size);
    }
  }
}

// One step's rows: chunk and context of each.
struct Rows {
  std::vector<std::int32_t> query_start{0};
  std::vector<std::int32_t> context;
  std::vector<std::int32_t> block_start{0};
  std::vector<std::int32_t> tokens;

  void add(std::int32_t chunk, std::int32_t length) {
    query_start.push_back(query_start.back() + chunk);
    context.push_back(length);
    block_start.push_back(block_start.back() + (length + 15) / 16);
    tokens.resize(static_cast<std::size_t>(query_start.back()));
  }
  [[nodiscard]] BatchInput batch() const {
    return {.token_ids = tokens,
            .positions = {},
            .slot_mapping = {},
            .query_start_loc = query_start,
            .context_lens = context,
            .block_ids = {},
            .block_start = block_start,
            .sample_tokens = {}};
  }
};

// How often (row of the batch, query row, split) is computed.
using Seen = std::map<std::tuple<std::int32_t, std::int32_t, std::int32_t>, int>;

void note(Seen& seen, const QuireCudaAttentionItem& item, std::int32_t most, std::int32_t group) {
  const std::int32_t end = smaller(item.first_row + most, rows_of_chunk(item.num_tokens, group));
  CHECK(item.first_row < end);
  for (std::int32_t row = item.first_row; row < end; ++row) {
    for (std::int32_t split = item.split_begin; split < item.split_end; ++split) {
      ++seen[{item.token_begin, row, split}];
    }
  }
}

void check_plan(const Rows& rows, const AttentionKind& kind, std::int32_t slots) {
  AttentionPlan plan({.max_tokens = 4096, .max_rows = 64, .partial_slots = slots});
  plan.plan(rows.batch(), kind);
  Seen seen;
  std::set<std::int32_t> partials;
  for (const auto& item : plan.decode_items()) {
    note(seen, item, kWarpRows, kind.group());
    if (item.partial < 0) continue;
    CHECK(item.partial < slots);
    CHECK(item.split_end == item.split_begin + 1);
    CHECK(partials.insert(item.partial).second);
  }
  for (const auto& item : plan.tile_items()) {
    note(seen, item, kWarpRows * kTileWarps, kind.group());
    CHECK(item.partial == -1);
  }
  for (std::size_t r = 0; r < rows.context.size(); ++r) {
    const std::int32_t chunk = rows.query_start[r + 1] - rows.query_start[r];
    for (std::int32_t row = 0; row < chunk * kind.group(); ++row) {
      const std::int32_t position = rows.context[r] - chunk + token_of_row(row, kind.group());
      // Every split that the query sees, exactly once.
      for (std::int32_t s = split_of(first_key(position, kind.window)); s <= split_of(position);
           ++s) {
        CHECK(seen[{rows.query_start[r], row, s}] == 1);
      }
    }
  }
  CHECK(static_cast<std::int64_t>(plan.tile_items().size()) <=
        AttentionPlan::max_tile_items({.max_tokens = 4096, .max_rows = 64}, kind.group()));
}

TEST_CASE("every query meets every split of its keys exactly once") {
  std::mt19937 random(4);
  for (const AttentionKind kind : {AttentionKind{8, 2, 0}, AttentionKind{8, 8, 0},
                                   AttentionKind{48, 1, 0}, AttentionKind{6, 2, 700}}) {
    for (const std::int32_t slots : {0, 5, 64, 1024}) {
      Rows rows;
      for (int i = 0; i < 12; ++i) {
        const auto chunk = static_cast<std::int32_t>(random() % 3 == 0 ? 1 + random() % 200 : 1);
        rows.add(chunk, chunk + static_cast<std::int32_t>(random() % 5000));
      }
      check_plan(rows, kind, slots);
    }
  }
}

TEST_CASE("a split's tiles begin at multiples of a tile and end with the last query") {
  for (std::int32_t first = 0; first < 2100; first += 17) {
    for (const std::int32_t window : {0, 1, 64, 700}) {
      const std::int32_t last = first + 20;
      std::int32_t covered = 0;
      for (std::int32_t s = split_of(first_key(first, window)); s <= split_of(last); ++s) {
        const KeyRange keys = keys_of_split(s, first, last, window);
        CHECK(keys.begin % kAttentionTile == 0);
        CHECK(keys.end <= (s + 1) * kSplitKeys);
        if (covered > 0) CHECK(keys.begin == covered);
        if (covered == 0) CHECK(keys.begin <= first_key(first, window));
        covered = keys.end;
      }
      CHECK(covered == last + 1);
    }
  }
}

}  // namespace
}  // namespace quire::engine::cuda
