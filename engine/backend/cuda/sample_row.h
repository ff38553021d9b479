#pragma once
// One row of logits to one token, by a team of threads: the chain of engine/sampler.h, to the same
// token. The text is the device's and the host's alike: what a team is differs.
//
// A team has each(n, f): f(0) to f(n - 1) in any order or at once; once(f); and, for f's use,
// count(p) (*p += 1, and what it was) and mark(p, bits) (*p |= bits), which others may do to the
// same word at the same time. All before a call has happened when it begins, and all of it when it
// ends; so what is read between calls is the same for every thread of the team.
// 1. Sums are in the sampler's order: 16 lanes within blocks of 1,024, blocks in order; or over the
//    tokens in the sampling order. The one exception is the total that top_p is a share of, where
//    nothing but the ids orders the tokens: one chain over the vocabulary. Any other order is so
//    near it that only a cut within kSumSlack of a token's edge can tell; then the chain is run.
// 2. At most kMaxSorted tokens are put in order. A row that needs more is kQuireCudaSampleHost.
// Cost: some passes over the row: one for greedy, three for a plain draw, up to ten where an order
// is needed.

#include "engine/backend/cuda/sampling.h"

#ifdef __CUDACC__
#define QUIRE_TEAM_CODE __device__ __forceinline__
#else
#define QUIRE_TEAM_CODE
#endif

namespace quire::engine::cuda {

// What a team's threads share.
struct SampleShared {
  double sums[kMaxSampleBlocks];  // of blocks; then the weights of the sorted
  double lanes[kSampleThreads];
  uint64_t keys[kMaxSorted];
  float tile[kSampleTile];
  uint32_t histogram[256];
  double total;
  double sum;
  double target;
  uint64_t prefix;
  uint32_t need;
  uint32_t found;
  int32_t exact;
  int32_t place;
  int32_t token;
};
static_assert(kMaxSorted == kSampleThreads);  // fold() keeps a key of each thread

// Of SampleShared::token where there is none yet.
inline constexpr int32_t kNoneChosen = -1;
inline constexpr int32_t kTooMany = -2;  // for the host
inline constexpr int32_t kUnclear = -3;  // the total of top_p has to be the chain's

QUIRE_HOST_DEVICE constexpr int64_t sample_workspace_bytes(int64_t rows, int64_t vocab) {
  return rows * vocab * 8;  // adjusted logits and marks
}

template <typename Team>
class RowSampler final {
 public:
  QUIRE_TEAM_CODE RowSampler(Team team, SampleShared& shared, const QuireCudaOp& op, int32_t row)
      : team_(team),
        s_(shared),
        op_(op),
        row_(op.sample.rows[row]),
        index_(row),
        n_(static_cast<int32_t>(op.x.cols)),
        raw_(static_cast<const float*>(op.x.data) + row * op.x.row_stride),
        values_(raw_) {}

  QUIRE_TEAM_CODE void run() {
    const uint64_t best =
        fold([&](int32_t i) { return raw_[i] != raw_[i] ? ~uint64_t{0} : sort_key(raw_[i], i); },
             [](uint64_t a, uint64_t b) { return a > b ? a : b; });
    const float maximum = logit_of(best);
    if (best == ~uint64_t{0} || maximum == INFINITY || maximum == -INFINITY) {
      return finish(0.0, maximum, kNoneChosen);
    }
    const double sum = row_.num_top >= 0 || row_.target >= 0 ? sum_row(maximum) : 0.0;
    if (row_.num_top > 0) write_top(smaller(row_.num_top, n_));
    finish(sum, maximum, row_.target >= 0 ? row_.target : choose(best));
  }

 private:
  QUIRE_TEAM_CODE void finish(double sum, float maximum, int32_t token) {
    team_.once([&] {
      QuireCudaSampleResult& result = op_.sample.results[index_];
      result.sum = sum;
      result.maximum = maximum;
      result.logit = token >= 0 ? raw_[token] : 0.0f;
      result.token = token;
      result.status = token >= 0          ? kQuireCudaSampled
                      : token == kTooMany ? kQuireCudaSampleHost
                                          : kQuireCudaSampleFault;
    });
  }

  // value(i) of the whole row, combined; 0 changes nothing.
  template <typename Value, typename Combine>
  QUIRE_TEAM_CODE uint64_t fold(Value value, Combine combine) {
    team_.each(kSampleThreads, [&](int32_t t) {
      uint64_t all = 0;
      for (int32_t i = t; i < n_; i += kSampleThreads) all = combine(all, value(i));
      s_.keys[t] = all;
    });
    for (int32_t step = kSampleThreads / 2; step > 0; step /= 2) {
      team_.each(step, [&](int32_t t) { s_.keys[t] = combine(s_.keys[t], s_.keys[t + step]); });
    }
    return s_.keys[0];
  }

  // The sum whose logarithm logprobs want, in lanes over the row.
  QUIRE_TEAM_CODE double sum_row(float maximum) {
    team_.each(kSampleLanes, [&](int32_t lane) { s_.lanes[lane] = 0.0; });
    for (int32_t begin = 0; begin < n_; begin += kSampleTile) {
      const int32_t count = smaller(kSampleTile, n_ - begin);
      team_.each(count, [&](int32_t i) { s_.tile[i] = exp_negative(raw_[begin + i] - maximum); });
      team_.each(kSampleLanes, [&](int32_t lane) {
        double sum = s_.lanes[lane];
        for (int32_t i = lane; i < count; i += kSampleLanes) sum += static_cast<double>(s_.tile[i]);
        s_.lanes[lane] = sum;
      });
    }
    team_.once([&] {
      s_.total = 0.0;
      for (int32_t lane = 0; lane < kSampleLanes; ++lane) s_.total += s_.lanes[lane];
    });
    return s_.total;
  }

  QUIRE_TEAM_CODE void write_top(int32_t count) {
    sort_best(raw_, count);
    QuireCudaSampleTop* top = op_.sample.tops + index_ * op_.sample.top_stride;
    team_.each(count, [&](int32_t i) {
      const int32_t id = id_of(s_.keys[i]);
      top[i].token = id;
      top[i].logit = raw_[id];
    });
  }

  // --- the chain of a choice
  QUIRE_TEAM_CODE int32_t choose(uint64_t best) {
    if (row_.adjusted != 0) {
      adjust();
      best = fold([&](int32_t i) { return sort_key(values_[i], i); },
                  [](uint64_t a, uint64_t b) { return a > b ? a : b; });
      if (logit_of(best) == -INFINITY) return kNoneChosen;
    }
    if (row_.temperature == 0.0f) return id_of(best);
    const bool sorted = row_.top_k > 0 || row_.top_p < 1.0f;
    return sorted ? draw_sorted(logit_of(best)) : draw_plain(best);
  }

  QUIRE_TEAM_CODE void adjust() {
    float* work = op_.workspace + static_cast<int64_t>(index_) * n_;
    uint32_t* marks = reinterpret_cast<uint32_t*>(op_.workspace + op_.x.rows * n_) +
                      static_cast<int64_t>(index_) * n_;
    team_.each(n_, [&](int32_t i) {
      work[i] = raw_[i];
      if (row_.num_history > 0) marks[i] = 0;
    });
    const int32_t* biases = op_.sample.lists + row_.bias_begin;
    team_.each(row_.num_biases, [&](int32_t i) {
      const int32_t id = biases[2 * i];
      const float bias = float_of(static_cast<uint32_t>(biases[2 * i + 1]));
      work[id] = limited(work[id] + bias, work[id]);
    });
    const int32_t* masked = op_.sample.lists + row_.masked_begin;
    team_.each(row_.num_masked, [&](int32_t i) { work[masked[i]] = -INFINITY; });
    values_ = work;
    if (row_.num_history == 0) return;
    const int32_t* history = op_.sample.lists + row_.history_begin;
    team_.each(row_.num_history, [&](int32_t i) {
      team_.mark(&marks[history[i]], kSeen);
      if (i >= row_.num_prompt) (void)team_.count(&marks[history[i]]);
    });
    team_.each(n_, [&](int32_t i) { work[i] = penalised(work[i], marks[i], row_); });
  }

  // sums and total: of weight(i), block after block.
  template <typename Weight>
  QUIRE_TEAM_CODE void sum_blocks(Weight weight) {
    constexpr int32_t kAtOnce = kSampleThreads / kSampleLanes;
    const int32_t blocks = static_cast<int32_t>(ceil_div(n_, kSampleBlock));
    for (int32_t first = 0; first < blocks; first += kAtOnce) {
      const int32_t count = smaller(kAtOnce, blocks - first);
      team_.each(count * kSampleLanes, [&](int32_t c) {
        const int32_t begin = (first + c / kSampleLanes) * kSampleBlock;
        const int32_t end = smaller(begin + kSampleBlock, n_);
        double sum = 0.0;
        for (int32_t i = begin + c % kSampleLanes; i < end; i += kSampleLanes) {
          sum += static_cast<double>(weight(i));
        }
        s_.lanes[c] = sum;
      });
      team_.each(count, [&](int32_t b) {
        double sum = 0.0;
        for (int32_t lane = 0; lane < kSampleLanes; ++lane)
          sum += s_.lanes[b * kSampleLanes + lane];
        s_.sums[first + b] = sum;
      });
    }
    team_.once([&] {
      s_.total = 0.0;
      for (int32_t b = 0; b < blocks; ++b) s_.total += s_.sums[b];
    });
  }

  QUIRE_TEAM_CODE int32_t draw_plain(uint64_t best_key) {
    const float best = logit_of(best_key);
    const auto weight = [&](int32_t i) {
      const float w = token_weight(values_[i], best, row_);
      return w >= row_.min_p ? w : 0.0f;
    };
    sum_blocks(weight);
    team_.once([&] {
      s_.target = row_.uniform * s_.total;
      s_.sum = 0.0;
      s_.exact = 0;
      s_.token = kNoneChosen;
      for (s_.place = 0; s_.place + kSampleBlock < n_; s_.place += kSampleBlock) {
        const double after = s_.sum + s_.sums[s_.place / kSampleBlock];
        if (after > s_.target) break;
        s_.sum = after;
      }
    });
    for (int32_t begin = s_.place; begin < n_ && s_.exact == 0; begin += kSampleBlock) {
      const int32_t count = smaller(kSampleBlock, n_ - begin);
      team_.each(count, [&](int32_t i) { s_.tile[i] = weight(begin + i); });
      team_.once([&] { walk(begin, count); });
    }
    return s_.token == kNoneChosen ? id_of(best_key) : s_.token;
  }

  // On to the target over the tile; exact: it was reached.
  QUIRE_TEAM_CODE void walk(int32_t begin, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
      if (s_.tile[i] == 0.0f) continue;
      s_.token = begin + i;
      s_.sum += static_cast<double>(s_.tile[i]);
      if (s_.sum > s_.target) {
        s_.exact = 1;
        return;
      }
    }
  }

  // --- top_k, top_p, min_p in the sampling order
  QUIRE_TEAM_CODE int32_t draw_sorted(float best) {
    const auto finite = static_cast<int32_t>(
        fold([&](int32_t i) { return values_[i] == -INFINITY ? uint64_t{0} : uint64_t{1}; },
             [](uint64_t a, uint64_t b) { return a + b; }));
    const bool few = row_.top_k > 0 && row_.top_k < finite;
    const int32_t kept = few ? row_.top_k : finite;
    const int32_t count = smaller(kept, kMaxSorted);
    if (kept > count && (few || row_.top_p >= 1.0f)) return kTooMany;
    const auto weight = [&](int32_t i) { return token_weight(values_[i], best, row_); };
    if (row_.top_p < 1.0f && !few) sum_blocks(weight);
    sort_best(values_, count);
    team_.each(count, [&](int32_t i) {
      s_.sums[i] = static_cast<double>(token_weight(logit_of(s_.keys[i]), best, row_));
    });
    team_.once([&] {
      if (few) add_sorted(count);
      const double slack = few ? 0.0 : kSumSlack;
      pick(count, kept, s_.total * (1.0 - slack), s_.total * (1.0 + slack));
    });
    if (s_.token != kUnclear) return s_.token;
    chain(weight);
    team_.once([&] { pick(count, kept, s_.total, s_.total); });
    return s_.token;
  }

  QUIRE_TEAM_CODE void add_sorted(int32_t count) {
    s_.total = 0.0;
    for (int32_t i = 0; i < count; ++i) s_.total += s_.sums[i];
  }

  // token: of the `count` sorted out of `kept`; low and high bound the total that top_p is of.
  QUIRE_TEAM_CODE void pick(int32_t count, int32_t kept, double low, double high) {
    if (row_.top_p < 1.0f) {
      const double top_p = static_cast<double>(row_.top_p);
      double sum = 0.0;
      int32_t taken = 0;
      while (taken < count) {
        sum += s_.sums[taken++];
        if (sum >= top_p * low) break;
      }
      s_.token = kUnclear;
      if (sum >= top_p * low && sum < top_p * high) return;
      s_.token = kTooMany;
      if (sum < top_p * low && taken < kept) return;
      kept = taken;
    }
    while (kept > 1 && s_.sums[kept - 1] < static_cast<double>(row_.min_p)) --kept;
    double total = 0.0;
    for (int32_t i = 0; i < kept; ++i) total += s_.sums[i];
    const double target = row_.uniform * total;
    double sum = 0.0;
    int32_t i = 0;
    for (; i < kept; ++i) {
      sum += s_.sums[i];
      if (sum > target) break;
    }
    s_.token = id_of(s_.keys[i < kept ? i : 0]);
  }

  // total: one sum over the ids.
  template <typename Weight>
  QUIRE_TEAM_CODE void chain(Weight weight) {
    team_.once([&] { s_.total = 0.0; });
    for (int32_t begin = 0; begin < n_; begin += kSampleTile) {
      const int32_t count = smaller(kSampleTile, n_ - begin);
      team_.each(count, [&](int32_t i) { s_.tile[i] = weight(begin + i); });
      team_.once([&] {
        double sum = s_.total;
        for (int32_t i = 0; i < count; ++i) sum += static_cast<double>(s_.tile[i]);
        s_.total = sum;
      });
    }
  }

  // --- the best of a row in order
  // keys: the `count` largest of `values`, falling. At least so many are there.
  QUIRE_TEAM_CODE void sort_best(const float* values, int32_t count) {
    find_smallest_of_best(values, count);
    team_.once([&] { s_.found = 0; });
    team_.each(n_, [&](int32_t i) {
      const uint64_t key = sort_key(values[i], i);
      if (key >= s_.prefix) s_.keys[team_.count(&s_.found)] = key;
    });
    int32_t size = 1;
    while (size < count) size *= 2;
    team_.each(size - count, [&](int32_t i) { s_.keys[count + i] = 0; });
    for (int32_t run = 2; run <= size; run *= 2) {
      for (int32_t step = run / 2; step > 0; step /= 2) {
        team_.each(size / 2, [&](int32_t t) {
          const int32_t i = 2 * t - (t & (step - 1));
          const uint64_t a = s_.keys[i];
          const uint64_t b = s_.keys[i + step];
          if ((a < b) != ((i & run) == 0)) return;
          s_.keys[i] = b;
          s_.keys[i + step] = a;
        });
      }
    }
  }

  // prefix: exactly `count` keys are not below it. Found byte by byte from the top.
  QUIRE_TEAM_CODE void find_smallest_of_best(const float* values, int32_t count) {
    team_.once([&] {
      s_.prefix = 0;
      s_.need = static_cast<uint32_t>(count);
      s_.exact = 0;
    });
    for (int32_t shift = 56; shift >= 0 && s_.exact == 0; shift -= 8) {
      team_.each(256, [&](int32_t b) { s_.histogram[b] = 0; });
      team_.each(n_, [&](int32_t i) {
        const uint64_t key = sort_key(values[i], i);
        // In two shifts: by 64 is not defined.
        if ((key ^ s_.prefix) >> shift >> 8 != 0) return;
        (void)team_.count(&s_.histogram[(key >> shift) & 255]);
      });
      team_.once([&] {
        int32_t b = 255;
        for (; s_.histogram[b] < s_.need; --b) s_.need -= s_.histogram[b];
        s_.prefix |= static_cast<uint64_t>(b) << shift;
        s_.exact = s_.histogram[b] == s_.need ? 1 : 0;
      });
    }
  }

  Team team_;
  SampleShared& s_;
  const QuireCudaOp& op_;
  const QuireCudaSampleRow& row_;
  int32_t index_;
  int32_t n_;
  const float* raw_;
  const float* values_;  // what is chosen from: the raw ones, or those adjusted
};

}  // namespace quire::engine::cuda
