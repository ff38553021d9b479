// The time of each generated token against its position, with the KV cache or without it.
//
//   decode_cost FOLDER cache|no-cache PROMPT_TOKENS NEW_TOKENS [threads]
//
// One request alone, greedy, end tokens ignored. Prints "token seconds" per generated token, where
// seconds is the time since the one before (the first: since submission).

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <vector>

#include "engine/engine.h"

namespace quire {
namespace {

using Clock = std::chrono::steady_clock;

// A drain may hand out several tokens at once: they share the time since the drain before.
void measure(engine::Engine& engine, std::size_t prompt_tokens, std::int32_t new_tokens) {
  engine::GenerationRequest request;
  request.prompts.emplace_back(prompt_tokens, TokenId{1});
  request.sampling.temperature = 0.0f;
  request.sampling.max_tokens = new_tokens;
  request.sampling.ignore_eos = true;
  request.sampling.num_logprobs = 0;  // a delta for each token, also for those without text
  Clock::time_point last = Clock::now();
  auto stream = engine.submit(std::move(request), nullptr);
  if (!stream) throw std::runtime_error(stream.error().message);
  std::int32_t told = 0;
  std::vector<engine::Delta> deltas;
  for (bool more = true; more;) {
    (*stream)->wait();
    deltas.clear();
    more = (*stream)->drain(deltas);
    const Clock::time_point now = Clock::now();
    if (deltas.empty() || deltas[0].num_output_tokens == told) continue;
    const std::int32_t count = deltas[0].num_output_tokens - told;
    const double seconds = std::chrono::duration<double>(now - last).count() / count;
    for (std::int32_t i = 0; i < count; ++i) std::printf("%d %.6f\n", ++told, seconds);
    std::fflush(stdout);
    last = now;
  }
  if (told != new_tokens) throw std::runtime_error("the request ended early");
}

int run(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr,
                 "usage: decode_cost FOLDER cache|no-cache PROMPT_TOKENS NEW_TOKENS [threads]\n");
    return 2;
  }
  engine::EngineOptions options;
  options.model_folder = argv[1];
  options.device = engine::Device::kCpu;
  options.use_kv_cache = std::strcmp(argv[2], "no-cache") != 0;
  options.num_threads = argc > 5 ? std::atoi(argv[5]) : 0;
  const auto engine = engine::load_engine(options, {});
  std::fprintf(stderr, "%s on %s, KV cache %s\n", engine->info().architecture.c_str(),
               engine->info().backend.c_str(), options.use_kv_cache ? "on" : "off");
  measure(*engine, std::strtoull(argv[3], nullptr, 10), std::atoi(argv[4]));
  return 0;
}

}  // namespace
}  // namespace quire

int main(int argc, char** argv) {
  try {
    return quire::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "decode_cost: %s\n", error.what());
    return 1;
  }
}
