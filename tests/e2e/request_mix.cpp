#include "tests/e2e/request_mix.h"

#include <algorithm>
#include <bit>
#include <random>
#include <sstream>

namespace quire::e2e {
namespace {

// The generator's raw words alone: the standard's distributions differ between libraries.
class Dice final {
 public:
  explicit Dice(std::uint64_t seed) : words_(seed) {}
  std::int32_t up_to(std::int32_t most) {  // 0..most
    return static_cast<std::int32_t>(words_() % (static_cast<std::uint64_t>(most) + 1));
  }
  float between(float low, float high) {
    return low + (high - low) * static_cast<float>(up_to(1000)) / 1000.0f;
  }
  bool one_in(std::int32_t n) { return up_to(n - 1) == 0; }
  std::uint64_t word() { return words_(); }

 private:
  std::mt19937_64 words_;
};

// Short lengths often, each power of two as likely as the next.
std::int32_t length_up_to(Dice& dice, std::int32_t longest) {
  std::int32_t most = 1;
  while (most < longest && !dice.one_in(6)) most *= 2;
  return 1 + dice.up_to(std::min(most, longest) - 1);
}

SamplingParams draw_sampling(Dice& dice, const MixShape& shape, std::int32_t vocab_size) {
  SamplingParams sampling;
  sampling.seed = dice.word();
  sampling.max_tokens = length_up_to(dice, shape.longest_output);
  sampling.temperature = dice.one_in(3) ? 0.0f : dice.between(0.2f, 2.0f);
  if (dice.one_in(3)) sampling.top_p = dice.between(0.1f, 1.0f);
  if (dice.one_in(3)) sampling.top_k = 1 + dice.up_to(50);
  if (dice.one_in(4)) sampling.min_p = dice.between(0.0f, 0.3f);
  if (dice.one_in(4)) sampling.repetition_penalty = dice.between(0.7f, 1.8f);
  if (dice.one_in(4)) sampling.presence_penalty = dice.between(-2.0f, 2.0f);
  if (dice.one_in(4)) sampling.frequency_penalty = dice.between(-2.0f, 2.0f);
  if (dice.one_in(5)) {
    for (int i = 0; i < 10; ++i)
      sampling.logit_bias.emplace_back(dice.up_to(vocab_size - 1), dice.between(-5.0f, 5.0f));
  }
  sampling.ignore_eos = dice.one_in(2);
  if (dice.one_in(4)) sampling.min_tokens = dice.up_to(sampling.max_tokens);
  if (dice.one_in(5)) sampling.stop_token_ids = {dice.up_to(vocab_size - 1)};
  // Most ask for logprobs: they are what shows a difference that the tokens hide.
  sampling.num_logprobs = dice.one_in(8) ? -1 : dice.up_to(5);
  sampling.prompt_logprobs = sampling.num_logprobs >= 0 && dice.one_in(4);
  return sampling;
}

void draw_stops(Dice& dice, const engine::Tokenizer& tokenizer, std::int32_t vocab_size,
                std::vector<std::string>& stops) {
  stops.emplace_back(dice.one_in(2) ? "." : "e");
  const TokenId tokens[] = {dice.up_to(vocab_size - 1), dice.up_to(vocab_size - 1)};
  std::string pair = tokenizer.decode(tokens, /*skip_special=*/true);
  if (!pair.empty()) stops.push_back(std::move(pair));
}

// Some of the prompt, or all of it, is the beginning of a story that other prompts tell too.
void share_beginning(Dice& dice, const std::vector<std::vector<TokenId>>& stories,
                     std::vector<TokenId>& prompt) {
  const auto& story =
      stories[static_cast<std::size_t>(dice.up_to(static_cast<std::int32_t>(stories.size()) - 1))];
  const auto size = static_cast<std::int32_t>(prompt.size());
  const std::int32_t common = dice.one_in(3) ? size : dice.up_to(size);
  std::copy_n(story.begin(), common, prompt.begin());
}

std::string reason_text(const engine::Delta& delta) {
  if (const auto* token = std::get_if<TokenId>(&delta.stop_reason))
    return "token " + std::to_string(*token);
  if (const auto* text = std::get_if<std::string>(&delta.stop_reason)) return "text " + *text;
  return {};
}

template <typename T>
void describe(std::ostringstream& out, const char* what, const std::vector<T>& expected,
              const std::vector<T>& actual) {
  if (expected == actual) return;
  const auto [a, b] = std::mismatch(expected.begin(), expected.end(), actual.begin(), actual.end());
  out << ' ' << what << " differ at " << a - expected.begin() << " (of " << expected.size()
      << " and " << actual.size() << ")";
  if constexpr (std::is_integral_v<T>) {
    if (a != expected.end() && b != actual.end()) out << ": " << *a << " against " << *b;
  }
  out << ';';
}

}  // namespace

std::vector<engine::GenerationRequest> make_request_mix(const MixShape& shape,
                                                        const engine::Tokenizer& tokenizer,
                                                        std::int32_t vocab_size) {
  Dice dice(shape.seed);
  std::vector<std::vector<TokenId>> stories(static_cast<std::size_t>(shape.num_stories));
  for (auto& story : stories) {
    story.resize(static_cast<std::size_t>(shape.longest_prompt));
    for (TokenId& token : story) token = dice.up_to(vocab_size - 1);
  }
  std::vector<engine::GenerationRequest> mix(static_cast<std::size_t>(shape.count));
  for (engine::GenerationRequest& request : mix) {
    auto& prompt = request.prompts.emplace_back();
    prompt.resize(static_cast<std::size_t>(length_up_to(dice, shape.longest_prompt)));
    for (TokenId& token : prompt) token = dice.up_to(vocab_size - 1);
    if (!stories.empty() && !dice.one_in(4)) share_beginning(dice, stories, prompt);
    request.sampling = draw_sampling(dice, shape, vocab_size);
    if (dice.one_in(3)) request.n = 1 + dice.up_to(2);
    request.priority = dice.one_in(4) ? dice.up_to(4) - 2 : 0;
    if (dice.one_in(4)) draw_stops(dice, tokenizer, vocab_size, request.stop);
    request.include_stop_str_in_output = dice.one_in(3);
    request.skip_special_tokens = !dice.one_in(4);
  }
  return mix;
}

RequestRecord read_to_end(engine::TokenStream& stream, std::size_t num_choices) {
  RequestRecord record(num_choices);
  std::vector<engine::Delta> deltas;
  for (bool more = true; more;) {
    stream.wait();
    deltas.clear();
    more = stream.drain(deltas);
    for (const engine::Delta& delta : deltas) {
      ChoiceRecord& choice = record.at(static_cast<std::size_t>(delta.choice));
      choice.text += delta.text;
      for (const engine::StreamToken& token : delta.tokens) {
        choice.tokens.push_back(token.token.token);
        choice.logprob_bits.push_back(std::bit_cast<std::uint32_t>(token.token.logprob));
        for (const TokenLogprob& best : token.top)
          choice.top.emplace_back(best.token, std::bit_cast<std::uint32_t>(best.logprob));
      }
      choice.num_output_tokens = delta.num_output_tokens;
      choice.finish = delta.finish;
      choice.stop_reason = reason_text(delta);
    }
  }
  return record;
}

std::string first_difference(const RequestRecord& expected, const RequestRecord& actual) {
  if (expected.size() != actual.size()) return "another number of choices";
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const ChoiceRecord& a = expected[i];
    const ChoiceRecord& b = actual[i];
    if (a == b) continue;
    std::ostringstream out;
    out << "choice " << i << ':';
    describe(out, "tokens", a.tokens, b.tokens);
    describe(out, "logprob bits", a.logprob_bits, b.logprob_bits);
    describe(out, "best tokens", a.top, b.top);
    if (a.text != b.text) out << " text \"" << a.text << "\" against \"" << b.text << "\";";
    if (a.finish != b.finish || a.stop_reason != b.stop_reason)
      out << " finish " << static_cast<int>(a.finish) << ' ' << a.stop_reason << " against "
          << static_cast<int>(b.finish) << ' ' << b.stop_reason << ';';
    if (a.num_output_tokens != b.num_output_tokens)
      out << " output tokens " << a.num_output_tokens << " against " << b.num_output_tokens << ';';
    return out.str();
  }
  return {};
}

}  // namespace quire::e2e
