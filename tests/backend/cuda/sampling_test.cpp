// Sampling on the device against the host's sampler: the kernel's own text, run by a team of one
// thread in several orders behind the fake device.

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>

#include "engine/backend/cuda/cuda_backend.h"
#include "engine/backend/cuda/sample_row.h"
#include "engine/sampler.h"
#include "tests/backend/cuda/fake_device.h"
#include "tests/backend/cuda/host_team.h"
#include "tests/backend/tensors.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

using cuda::testing::fake_api;
using cuda::testing::fake_device;
using scheduler::StepSample;
using testing::Matrix;
using State = SampledRow::State;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::int32_t kMaxTop = 40;
const std::vector<TokenId> kEndTokens{3, 7, 7, -1};

struct Request {
  SamplingParams params;
  std::vector<TokenId> history;
  StepSample sample;
};

// Rows of logits with their requests, sampled on the fake device and by the host.
class Tile {
 public:
  Tile(std::int64_t rows, std::int64_t vocab)
      : logits(rows, vocab, 3),
        requests(static_cast<std::size_t>(rows)),
        rows_(static_cast<std::size_t>(rows)),
        tops_(static_cast<std::size_t>(rows * kMaxTop)) {}

  void sample(Backend& backend, const BatchInput& batch = {}) {
    samples_.clear();
    for (Request& request : requests) {
      request.sample.params = &request.params;
      request.sample.history = request.history;
      samples_.push_back(request.sample);
    }
    std::fill(rows_.begin(), rows_.end(), SampledRow{});
    backend.begin_step(batch);
    backend.sample({.logits = logits.view().head(static_cast<std::int64_t>(requests.size())),
                    .samples = samples_,
                    .end_token_ids = kEndTokens,
                    .rows = rows_,
                    .tops = tops_,
                    .tops_stride = kMaxTop});
    backend.end_step();
  }
  [[nodiscard]] State state(std::size_t row) const { return rows_[row].state; }
  // Whether the row is what the host's sampler says.
  [[nodiscard]] bool agrees(Sampler& sampler, std::size_t row) {
    const float* values = logits.row(static_cast<std::int64_t>(row));
    const Sampler::Outcome expected =
        sampler.sample({values, static_cast<std::size_t>(logits.cols())}, samples_[row]);
    const SampledRow& got = rows_[row];
    if (expected.fault) return got.state == State::kFault;
    const auto top = tops_.begin() + static_cast<std::ptrdiff_t>(row * kMaxTop);
    return got.state == State::kChosen && got.chosen == expected.chosen &&
           std::equal(expected.top.begin(), expected.top.end(), top, top + got.num_top);
  }

  Matrix logits;
  std::vector<Request> requests;

 private:
  std::vector<StepSample> samples_;
  std::vector<SampledRow> rows_;
  std::vector<TokenLogprob> tops_;
};

std::unique_ptr<Backend> make_fake(bool use_graphs = false) {
  fake_device() = {};
  auto backend = make_cuda_backend(fake_api(), {.num_threads = 1, .use_graphs = use_graphs});
  backend->reserve(64, 64, 256, 256);
  return backend;
}

float real(std::mt19937& random, double low, double high) {
  return static_cast<float>(std::uniform_real_distribution<double>(low, high)(random));
}

// Every setting off as often as on; many equal logits, both zeros, some without a chance.
void randomise(Request& request, float* logits, std::int32_t vocab, std::mt19937& random) {
  const auto chance = [&](unsigned one_in) { return random() % one_in == 0; };
  const float size = chance(8) ? std::pow(10.0f, real(random, -30, 38)) : real(random, 0.5, 6);
  for (std::int32_t i = 0; i < vocab; ++i) {
    logits[i] = chance(3) ? std::round(real(random, -3, 3)) : real(random, -1, 1) * size;
    if (chance(20)) logits[i] = -kInfinity;
  }
  logits[random() % static_cast<unsigned>(vocab)] = 0.5f;
  SamplingParams& p = request.params;
  p.temperature = chance(4) ? 0.0f : chance(2) ? 1.0f : real(random, 0.05, 2.0);
  p.top_k = chance(2) ? 0 : static_cast<std::int32_t>(1 + random() % 60);
  p.top_p = chance(2) ? 1.0f : chance(4) ? 1e-30f : real(random, 0.01, 1.0);
  p.min_p = chance(2) ? 0.0f : chance(4) ? 1.0f : real(random, 0.0, 1.0);
  if (chance(2)) p.repetition_penalty = chance(8) ? 1e-38f : real(random, 0.5, 2.0);
  if (chance(2)) p.presence_penalty = real(random, -2, 2);
  if (chance(2)) p.frequency_penalty = real(random, -2, 2);
  if (chance(2)) p.logit_bias = {{-4, 1.0f}, {4, 2.5f}, {5, -100.0f}, {vocab + 6, 9.0f}};
  if (chance(2)) p.stop_token_ids = {0, vocab};
  p.seed = std::uint64_t{random()} << 32 | random();
  request.history.resize(random() % 40);
  for (TokenId& token : request.history) {
    token = static_cast<TokenId>(random() % static_cast<unsigned>(vocab));
  }
  StepSample& sample = request.sample;
  sample.num_prompt_tokens = static_cast<std::int32_t>(random() % (request.history.size() + 2));
  sample.position = static_cast<std::int32_t>(request.history.size());
  sample.mask_end_tokens = chance(2);
  sample.choice = static_cast<std::int32_t>(random() % 4);
  sample.num_top = static_cast<std::int32_t>(random() % 35) - 2;
  if (chance(8)) sample.target = static_cast<TokenId>(random() % static_cast<unsigned>(vocab));
}

// Of `tiles` of random rows: all agree; how many the device left to the host.
int check_random(std::int32_t vocab, int tiles, std::mt19937& random) {
  const auto backend = make_fake();
  Sampler sampler(vocab, kMaxTop, kEndTokens);
  int left = 0;
  for (int round = 0; round < tiles; ++round) {
    const auto rows = static_cast<std::int64_t>(1 + random() % 32);
    Tile tile(rows, vocab);
    for (std::int64_t r = 0; r < rows; ++r) {
      randomise(tile.requests[static_cast<std::size_t>(r)], tile.logits.row(r), vocab, random);
    }
    tile.sample(*backend);
    for (std::size_t r = 0; r < tile.requests.size(); ++r) {
      INFO("vocabulary " << vocab << ", round " << round << ", row " << r);
      if (tile.state(r) == State::kLeft) ++left;
      if (tile.state(r) != State::kLeft) REQUIRE(tile.agrees(sampler, r));
    }
  }
  return left;
}

TEST_CASE("the device samples what the host's sampler does, whatever the settings") {
  std::mt19937 random(2026);
  for (const std::int32_t vocab : {1, 2, 15, 17, 50, 300}) {
    CHECK(check_random(vocab, 120, random) == 0);
  }
}

TEST_CASE("vocabularies of many blocks are sampled like small ones") {
  std::mt19937 random(7);
  for (const std::int32_t vocab : {1023, 1024, 1025, 2048, 4100, 9001}) {
    (void)check_random(vocab, 8, random);
  }
  (void)check_random(70000, 1, random);
}

// The cut falls on a token's edge, where the order of a sum could tell.
TEST_CASE("a nucleus that ends exactly at its share is the host's") {
  const auto backend = make_fake();
  for (const std::int32_t vocab : {8, 64, 1000}) {
    Sampler sampler(vocab, kMaxTop, kEndTokens);
    for (int share = 1; share < 8; ++share) {
      Tile tile(32, vocab);
      for (std::int64_t r = 0; r < 32; ++r) {
        for (std::int32_t i = 0; i < vocab; ++i) {
          tile.logits.row(r)[i] = -0.1f * static_cast<float>(i % (1 + r));
        }
        SamplingParams& params = tile.requests[static_cast<std::size_t>(r)].params;
        params.top_p = static_cast<float>(share) / 8.0f;
        params.seed = static_cast<std::uint64_t>(r);
      }
      tile.sample(*backend);
      for (std::size_t r = 0; r < 32; ++r) REQUIRE(tile.agrees(sampler, r));
    }
  }
}

// Beside a weight of 1 one of e^-38 is lost: the sum over the ids is 2, that in lanes is more, and
// half of it is one token or two.
TEST_CASE("top_p is of the sum over the ids where any other would give another token") {
  const auto backend = make_fake();
  constexpr std::int32_t kVocab = 3000;
  Sampler sampler(kVocab, kMaxTop, kEndTokens);
  Tile tile(32, kVocab);
  for (std::int64_t r = 0; r < 32; ++r) {
    std::fill_n(tile.logits.row(r), kVocab, -38.0f);
    tile.logits.row(r)[r] = tile.logits.row(r)[r + 1] = 0.0f;
    tile.requests[static_cast<std::size_t>(r)].params.top_p = 0.5f;
    tile.requests[static_cast<std::size_t>(r)].params.seed = static_cast<std::uint64_t>(r);
  }
  tile.sample(*backend);
  for (std::size_t r = 0; r < 32; ++r) REQUIRE(tile.agrees(sampler, r));
}

// One row, without the upload: draws that no seed would give.
struct Direct {
  Direct(std::vector<float>& logits, const QuireCudaSampleRow& settings) : row(settings) {
    op.x = {.data = logits.data(),
            .rows = 1,
            .cols = static_cast<std::int64_t>(logits.size()),
            .row_stride = static_cast<std::int64_t>(logits.size())};
    op.sample = {
        .rows = &row, .lists = nullptr, .results = &result, .tops = nullptr, .top_stride = 0};
    cuda::RowSampler<cuda::testing::HostTeam>({}, *shared, op, 0).run();
  }
  QuireCudaSampleRow row;
  QuireCudaSampleResult result{};
  QuireCudaOp op{};
  std::unique_ptr<cuda::SampleShared> shared = std::make_unique<cuda::SampleShared>();
};

QuireCudaSampleRow settings_of(double uniform, std::int32_t top_k) {
  QuireCudaSampleRow row{};
  row.uniform = uniform;
  row.temperature = row.top_p = 1.0f;
  row.top_k = top_k;
  row.target = row.num_top = -1;
  return row;
}

TEST_CASE("a draw on the edge of a token is the next one's, also at a block's end") {
  std::vector<float> equal(4096, -1.5f);
  for (const std::int32_t top_k : {0, 1024}) {
    const double tokens = top_k == 0 ? 4096 : top_k;
    for (const std::int32_t edge : {0, 1, 17, 511, 1023}) {
      CHECK(Direct(equal, settings_of(edge / tokens, top_k)).result.token == edge);
    }
  }
  for (const std::int32_t edge : {1024, 1025, 2048, 3072, 4095}) {
    CHECK(Direct(equal, settings_of(edge / 4096.0, 0)).result.token == edge);
  }
}

TEST_CASE("sums are in the sampler's order") {
  std::mt19937 random(12);
  std::normal_distribution<float> normal(0.0f, 12.0f);
  std::vector<float> logits(5000);
  for (float& logit : logits) logit = normal(random);
  const float best = *std::max_element(logits.begin(), logits.end());
  const auto lanes_of = [&](std::size_t begin, std::size_t end) {
    double sum = 0.0;
    for (std::size_t lane = 0; lane < 16; ++lane) {
      double part = 0.0;
      for (std::size_t i = begin + lane; i < end; i += 16) {
        part += static_cast<double>(cuda::exp_negative(logits[i] - best));
      }
      sum += part;
    }
    return sum;
  };
  double blocks = 0.0;
  for (std::size_t i = 0; i < 5000; i += 1024) blocks += lanes_of(i, std::min(i + 1024, 5000ul));
  QuireCudaSampleRow scored = settings_of(0.25, 0);
  CHECK(Direct(logits, scored).shared->total == blocks);
  scored.target = 7;
  CHECK(Direct(logits, scored).result.sum == lanes_of(0, 5000));
  REQUIRE(blocks != lanes_of(0, 5000));  // or neither would say anything
}

TEST_CASE("rows that are not finite, or have no token left, are faults on the device too") {
  const auto backend = make_fake();
  Sampler sampler(50, kMaxTop, kEndTokens);
  Tile tile(8, 50);
  const float bad[] = {kInfinity, std::numeric_limits<float>::quiet_NaN(), -std::nanf("")};
  for (std::int64_t r = 0; r < 8; ++r) {
    std::fill_n(tile.logits.row(r), 50, r < 6 ? 0.0f : -kInfinity);
    if (r < 6) tile.logits.row(r)[r % 2 == 0 ? 0 : 49] = bad[r / 2];
    tile.requests[static_cast<std::size_t>(r)].sample.num_top = r % 2 == 0 ? -1 : 3;
  }
  tile.logits.row(7)[3] = 1.0f;  // an end token, masked
  tile.requests[7].sample.mask_end_tokens = true;
  tile.requests[5].sample.target = 2;
  tile.sample(*backend);
  for (std::size_t r = 0; r < 8; ++r) {
    CHECK(tile.state(r) == State::kFault);
    CHECK(tile.agrees(sampler, r));
  }
}

TEST_CASE("what the device has no room or order for is left to the host") {
  const auto backend = make_fake();
  constexpr std::int32_t kVocab = 5000;
  Sampler sampler(kVocab, kMaxTop, kEndTokens);
  std::mt19937 random(3);
  Tile tile(8, kVocab);
  for (std::int64_t r = 0; r < 8; ++r) {
    for (std::int32_t i = 0; i < kVocab; ++i) tile.logits.row(r)[i] = real(random, -1, 1);
  }
  tile.requests[0].params.top_k = 1025;
  tile.requests[1].params.top_k = 1024;
  tile.requests[2].params.top_p = 0.9f;  // of a flat row
  tile.requests[3].params.top_p = 0.05f;
  tile.requests[4].params.logit_bias = {{4, 1.0f}, {4, 1.0f}};
  tile.requests[5].sample.num_top = 33;
  tile.requests[6].sample.num_top = 32;
  tile.requests[7].params.repetition_penalty = 1.5f;
  tile.requests[7].history.assign(std::size_t{1} << 20, 9);
  const bool left[] = {true, false, true, false, true, true, false, true};
  tile.sample(*backend);
  for (std::size_t r = 0; r < 8; ++r) {
    INFO("row " << r);
    CHECK((tile.state(r) == State::kLeft) == left[r]);
    if (!left[r]) CHECK(tile.agrees(sampler, r));
  }
}

TEST_CASE("sampling is part of a decode step's graph, whatever its rows ask for") {
  constexpr std::int32_t kVocab = 40;
  std::mt19937 random(4);
  const auto backend = make_fake(true);
  Sampler sampler(kVocab, kMaxTop, kEndTokens);
  const std::vector<std::int32_t> zeros(8);
  const std::vector<std::int64_t> slots(8);
  for (const std::size_t rows : {3, 4, 3, 7, 8, 4, 5}) {
    const std::span ids(zeros.data(), rows);
    Tile tile(8, kVocab);  // room for padding
    tile.requests.resize(rows);
    for (std::size_t r = 0; r < rows; ++r) {
      randomise(tile.requests[r], tile.logits.row(static_cast<std::int64_t>(r)), kVocab, random);
    }
    tile.sample(*backend, {.token_ids = ids,
                           .positions = ids,
                           .slot_mapping = {slots.data(), rows},
                           .query_start_loc = {},
                           .context_lens = ids,
                           .block_ids = {},
                           .block_start = {},
                           .sample_tokens = ids});
    for (std::size_t r = 0; r < rows; ++r) CHECK(tile.agrees(sampler, r));
  }
  CHECK(fake_device().graph_launches == 7);
  CHECK(fake_device().runs == 0);
}

}  // namespace
}  // namespace quire::engine
