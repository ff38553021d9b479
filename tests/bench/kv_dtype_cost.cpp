// What quantised pages or weights cost in logits, beside those of the folder's own type.
//
//   kv_dtype_cost FOLDER FIRST_TOKEN [TOKENS, 20000] [LENGTH, 256]
//
// The model writes texts of LENGTH tokens by itself (temperature 1, full pages, from FIRST_TOKEN
// on, cut at an end token), which are then scored with pages of every type, and with int8 weights:
// the perplexity of the text, the mean and the 99th percentile of KL(full || type) over positions,
// and the share of positions whose most likely token is the same. Seeded; the same figures on every
// run.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <tuple>
#include <vector>

#include "engine/kv_storage.h"
#include "tests/engine/models/harness.h"

namespace quire::bench {
namespace {

using Texts = std::vector<std::vector<TokenId>>;

constexpr int kTogether = 16;  // sequences

test::Harness make_harness(const char* folder, DType products, DType pages, std::int32_t length) {
  const test::BackendChoice cpu{"cpu", [] { return engine::make_cpu_backend(0); }};
  return {folder,
          cpu,
          {.num_blocks = std::int64_t{kTogether} * (length / 16 + 2),
           .kv_dtype = pages,
           .convert = engine::read_model_config(folder).weight_dtype,
           .product_dtype = products}};
}

// One more batch of texts from `first`, appended.
void write_texts(test::Harness& harness, TokenId first, std::int32_t length, std::uint64_t seed,
                 Texts& texts) {
  std::vector<test::HandSequence> sequences;
  for (int i = 0; i < kTogether; ++i) {
    sequences.emplace_back(std::vector<TokenId>{first}, i, kTogether, length, harness.block_size);
    sequences.back().params.temperature = 1.0f;
    sequences.back().params.num_logprobs = -1;
    sequences.back().params.seed = seed + static_cast<std::uint64_t>(i);
  }
  scheduler::StepPlan plan;
  scheduler::StepOutput output;
  for (std::int32_t position = 1; position < length; ++position) {
    plan.clear();
    for (auto& sequence : sequences) test::add_row(plan, sequence, 1, true, harness.block_size);
    output.clear();
    harness.runner->execute(plan, output);
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      sequences[i].tokens.push_back(
          output.tokens.at(static_cast<std::size_t>(output.samples.at(i).token_begin)).token);
    }
  }
  const std::vector<TokenId>& ends = harness.config.eos_token_ids;
  for (auto& sequence : sequences) {
    std::vector<TokenId>& tokens = sequence.tokens;
    tokens.erase(std::find_first_of(tokens.begin(), tokens.end(), ends.begin(), ends.end()),
                 tokens.end());
    if (tokens.size() >= 2) texts.push_back(tokens);
  }
}

// Logits to log-probabilities.
void normalise(std::span<float> row) {
  const float largest = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (const float logit : row) sum += std::exp(double{logit} - largest);
  const auto shift = static_cast<float>(largest + std::log(sum));
  for (float& logit : row) logit -= shift;
}

struct Cost {
  double log_likelihood = 0;  // of the texts
  std::int64_t same_best = 0;
  std::vector<double> divergences;
};

void compare(std::span<const float> full, std::span<const float> row, TokenId next, Cost& cost) {
  double divergence = 0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    divergence += std::exp(double{full[i]}) * (double{full[i]} - double{row[i]});
  }
  cost.divergences.push_back(divergence);
  cost.log_likelihood += row[static_cast<std::size_t>(next)];
  const auto best = [](std::span<const float> x) { return std::max_element(x.begin(), x.end()); };
  if (best(full) - full.begin() == best(row) - row.begin()) ++cost.same_best;
}

// The log-probabilities after each token of a text but the last.
std::vector<float> score(test::Harness& harness, const std::vector<TokenId>& text) {
  std::vector<float> rows = test::logits_of(harness, text, 512);
  const auto width = static_cast<std::size_t>(harness.config.vocab_size);
  for (std::size_t at = 0; at < rows.size(); at += width) {
    normalise(std::span(rows).subspan(at, width));
  }
  return rows;
}

void print(const char* name, Cost& cost, const test::Harness& harness) {
  const auto count = static_cast<double>(cost.divergences.size());
  double sum = 0;
  for (const double divergence : cost.divergences) sum += divergence;
  std::sort(cost.divergences.begin(), cost.divergences.end());
  const auto p99 = cost.divergences[static_cast<std::size_t>(count * 0.99)];
  std::printf("%-9s %16lld %11lld %11.4f %10.2e %10.2e %10.3f %%\n", name,
              static_cast<long long>(harness.storage->spec().bytes_per_token()),
              static_cast<long long>(harness.storage->page_bytes()),
              std::exp(-cost.log_likelihood / count), sum / count, p99,
              100.0 * static_cast<double>(cost.same_best) / count);
}

int run(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: kv_dtype_cost FOLDER FIRST_TOKEN [TOKENS] [LENGTH]\n");
    return 2;
  }
  const std::int64_t wanted = argc > 3 ? std::atoll(argv[3]) : 20000;
  const std::int32_t length = argc > 4 ? std::atoi(argv[4]) : 256;
  const DType own = engine::read_model_config(argv[1]).weight_dtype;
  test::Harness full = make_harness(argv[1], own, own, length);
  Texts texts;
  std::int64_t tokens = 0;
  for (std::uint64_t seed = 1; tokens < wanted; seed += kTogether) {
    const std::size_t before = texts.size();
    write_texts(full, std::atoi(argv[2]), length, seed, texts);
    for (std::size_t i = before; i < texts.size(); ++i) {
      tokens += static_cast<std::int64_t>(texts[i].size()) - 1;
    }
    if (texts.size() == before) throw std::runtime_error("the model writes nothing");
  }
  std::printf("%s: %zu texts, %lld tokens scored\n%-9s %16s %11s %11s %10s %10s %12s\n",
              full.config.architecture.c_str(), texts.size(), static_cast<long long>(tokens),
              "pages", "bytes per token", "page bytes", "perplexity", "mean KL", "p99 KL",
              "same best");
  for (const auto& [name, products, pages] : {std::tuple("full", own, own),
                                              {"bfloat16", own, DType::kBFloat16},
                                              {"int8", own, DType::kInt8},
                                              {"fp8", own, DType::kFp8E4M3},
                                              {"weights", DType::kInt8, own}}) {
    test::Harness other = make_harness(argv[1], products, pages, length);
    Cost cost;
    for (const auto& text : texts) {
      const std::vector<float> expected = score(full, text);
      const std::vector<float> actual = score(other, text);
      const auto width = static_cast<std::size_t>(full.config.vocab_size);
      for (std::size_t i = 0; i + 1 < text.size(); ++i) {
        compare(std::span(expected).subspan(i * width, width),
                std::span(actual).subspan(i * width, width), text[i + 1], cost);
      }
    }
    print(name, cost, other);
  }
  return 0;
}

}  // namespace
}  // namespace quire::bench

int main(int argc, char** argv) {
  try {
    return quire::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kv_dtype_cost: %s\n", error.what());
    return 1;
  }
}
