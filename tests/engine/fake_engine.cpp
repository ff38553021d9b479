#include "tests/engine/fake_engine.h"

#include <nlohmann/json.hpp>

#include "proto/check.h"

namespace quire::engine::testing {

std::unique_ptr<Tokenizer> ascii_tokenizer() {
  nlohmann::json vocab = nlohmann::json::object();
  for (char c = '!'; c <= '~'; ++c) vocab[std::string(1, c)] = id_of(c);
  vocab["\xC4\xA0"] = 0;            // byte-level spelling of the space
  vocab["\xC3\x83"] = kFirstHalf;   // byte 0xC3
  vocab["\xC2\xA9"] = kSecondHalf;  // byte 0xA9
  vocab["<eos>"] = kEos;
  const nlohmann::json file = {{"version", "1.0"},
                               {"truncation", nullptr},
                               {"padding", nullptr},
                               {"added_tokens",
                                {{{"id", kEos},
                                  {"content", "<eos>"},
                                  {"single_word", false},
                                  {"lstrip", false},
                                  {"rstrip", false},
                                  {"normalized", false},
                                  {"special", true}}}},
                               {"normalizer", nullptr},
                               {"pre_tokenizer",
                                {{"type", "ByteLevel"},
                                 {"add_prefix_space", false},
                                 {"trim_offsets", true},
                                 {"use_regex", true}}},
                               {"post_processor", nullptr},
                               {"decoder",
                                {{"type", "ByteLevel"},
                                 {"add_prefix_space", false},
                                 {"trim_offsets", true},
                                 {"use_regex", true}}},
                               {"model",
                                {{"type", "BPE"},
                                 {"dropout", nullptr},
                                 {"unk_token", nullptr},
                                 {"continuing_subword_prefix", nullptr},
                                 {"end_of_word_suffix", nullptr},
                                 {"fuse_unk", false},
                                 {"byte_fallback", false},
                                 {"ignore_merges", false},
                                 {"vocab", vocab},
                                 {"merges", nlohmann::json::array()}}}};
  auto result = Tokenizer::parse(file.dump(), "ascii");
  CHECK(result.ok());
  return std::move(result).value();
}

std::unique_ptr<Engine> fake_engine(Script script, EngineOptions options, std::int64_t num_blocks,
                                    FakeExecutor** executor, std::chrono::milliseconds delay) {
  auto fake = std::make_unique<FakeExecutor>(std::move(script));
  fake->delay = delay;
  if (executor != nullptr) *executor = fake.get();
  return engine_over(std::move(fake), std::move(options), num_blocks);
}

std::unique_ptr<Engine> engine_over(std::unique_ptr<StepExecutor> executor, EngineOptions options,
                                    std::int64_t num_blocks) {
  EngineParts parts;
  parts.tokenizer = ascii_tokenizer();
  parts.executor = std::move(executor);
  parts.spec.groups.push_back(
      {.num_layers = 1, .num_kv_heads = 1, .head_dim = 8, .block_size = 16});
  parts.info = {.architecture = "Fake",
                .vocab_size = kVocabSize,
                .max_model_len = options.scheduler.max_model_len,
                .num_blocks = num_blocks,
                .block_size = 16,
                .backend = "fake",
                .fingerprint = "fp_fake"};
  options.scheduler.eos_token_ids = {kEos};
  return std::make_unique<Engine>(options, std::move(parts));
}

}  // namespace quire::engine::testing
