#pragma once
// An engine over a fake model, for tests of the engine and the server: the vocabulary is the 95
// printable ASCII characters (id = character - 32), <eos> (95) and the two halves of a two-byte
// character (96, 97: "é"); the next token comes from a script.

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "engine/engine.h"

namespace quire::engine::testing {

inline constexpr TokenId kEos = 95;
inline constexpr TokenId kFirstHalf = 96;
inline constexpr TokenId kSecondHalf = 97;
inline constexpr std::int32_t kVocabSize = 98;

[[nodiscard]] inline TokenId id_of(char c) { return c - ' '; }

[[nodiscard]] std::unique_ptr<Tokenizer> ascii_tokenizer();

// Next token by (history): a function of what the sequence holds.
using Script = std::function<TokenId(std::span<const TokenId> history)>;

// "abcdefghijklmnopqrstuvwxyzabc..." by position.
[[nodiscard]] inline TokenId alphabet(std::span<const TokenId> history) {
  return id_of(static_cast<char>('a' + history.size() % 26));
}

class FakeExecutor final : public StepExecutor {
 public:
  explicit FakeExecutor(Script script) : script_(std::move(script)) {}

  void execute(const scheduler::StepPlan& plan, scheduler::StepOutput& output) override {
    if (delay.count() > 0) std::this_thread::sleep_for(delay);
    for (int unit = 0; unit < units; ++unit) {
      std::this_thread::sleep_for(unit_delay);
      if (heartbeat() != nullptr) heartbeat()->beat();
    }
    while (frozen) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (fail) throw std::runtime_error("device lost");
    output.clear();
    output.step_id = plan.step_id;
    output.copies_completed = static_cast<std::int32_t>(plan.copies.size());
    for (const scheduler::StepSample& sample : plan.samples) {
      const TokenId token = sample.target != kNoToken ? sample.target : script_(sample.history);
      const auto begin = static_cast<std::int32_t>(output.tokens.size());
      const auto top_begin = static_cast<std::int32_t>(output.top.size());
      const std::int32_t num_top = std::max(0, sample.num_top);
      for (std::int32_t i = 0; i < num_top; ++i) {
        output.top.push_back({(token + i) % kVocabSize, -0.5f - static_cast<float>(i)});
      }
      output.samples.push_back({.token_begin = begin, .num_tokens = 1});
      output.tokens.push_back(
          {.token = token, .logprob = -0.5f, .top_begin = top_begin, .top_count = num_top});
    }
  }

  std::chrono::milliseconds delay{0};
  std::atomic<bool> fail{false};
  std::atomic<bool> frozen{false};  // a step neither ends nor moves
  std::atomic<int> units{0};        // of work in a step, each with a heartbeat at its end
  std::chrono::milliseconds unit_delay{5};

 private:
  Script script_;
};

// An engine with `num_blocks` blocks of 16 tokens. `executor` (if asked for) is the engine's own.
[[nodiscard]] std::unique_ptr<Engine> fake_engine(Script script, EngineOptions options = {},
                                                  std::int64_t num_blocks = 256,
                                                  FakeExecutor** executor = nullptr,
                                                  std::chrono::milliseconds delay = {});

// The same over any executor of the fake vocabulary.
[[nodiscard]] std::unique_ptr<Engine> engine_over(std::unique_ptr<StepExecutor> executor,
                                                  EngineOptions options, std::int64_t num_blocks);

}  // namespace quire::engine::testing
