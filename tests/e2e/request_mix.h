#pragma once
// A seeded mix of requests, and what became of one: the material of the tests that compare a
// request's answer alone with its answer in company.

#include <cstdint>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace quire::e2e {

struct MixShape {
  int count = 200;
  std::uint64_t seed = 1;
  std::int32_t longest_prompt = 400;  // tokens; prompts may be one token
  std::int32_t longest_output = 64;   // tokens
  int num_stories = 6;                // most prompts begin like one of so many
};

// Lengths, greedy and sampled with every setting, n up to 3, logprobs, scored prompts, stop strings
// and priorities, all drawn from the seed. A function of its arguments.
[[nodiscard]] std::vector<engine::GenerationRequest> make_request_mix(
    const MixShape& shape, const engine::Tokenizer& tokenizer, std::int32_t vocab_size);

// Everything that a client could see of one choice; float32 logprobs as their bits.
struct ChoiceRecord {
  std::string text;
  std::vector<TokenId> tokens;
  std::vector<std::uint32_t> logprob_bits;
  std::vector<std::pair<TokenId, std::uint32_t>> top;
  std::int32_t num_output_tokens = 0;
  FinishReason finish = FinishReason::kNone;
  std::string stop_reason;
  friend bool operator==(const ChoiceRecord&, const ChoiceRecord&) = default;
};
using RequestRecord = std::vector<ChoiceRecord>;

// Reads a stream to its end.
[[nodiscard]] RequestRecord read_to_end(engine::TokenStream& stream, std::size_t num_choices);

// One line that says where two records differ; empty where they do not.
[[nodiscard]] std::string first_difference(const RequestRecord& expected,
                                           const RequestRecord& actual);

}  // namespace quire::e2e
