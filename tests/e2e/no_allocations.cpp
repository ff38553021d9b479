// The engine thread allocates nothing after warm-up: ten thousand steps with arrivals, aborts and
// preemptions, every malloc of that thread counted.
//
//   no_allocations FOLDER [steps]

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <random>
#include <span>
#include <stdexcept>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "tests/e2e/allocation_counter.h"
#include "tests/e2e/request_mix.h"

namespace quire::e2e {
namespace {

constexpr const char* kEngineThread = "quire-engine";
constexpr int kClients = 12;
constexpr std::int64_t kWarmUpSteps = 1000;

// Keeps requests coming until told to stop; leaves one in four before its end.
void come_and_go(engine::Engine& engine, std::span<const engine::GenerationRequest> requests,
                 std::uint64_t seed, const std::atomic<bool>& over) {
  std::mt19937_64 dice(seed);
  std::vector<engine::Delta> deltas;
  while (!over.load()) {
    auto stream = engine.submit(requests[dice() % requests.size()], nullptr);
    if (!stream) std::abort();  // the mix fits the engine; anything else is a fault of this test
    std::uint64_t looks = dice() % 4 == 0 ? dice() % 8 : UINT64_MAX;
    for (bool more = true; more && looks > 0; --looks) {
      (*stream)->wait();
      deltas.clear();
      more = (*stream)->drain(deltas);
    }
  }
}

void wait_for_steps(const engine::Engine& engine, std::int64_t steps) {
  while (engine.status().num_steps < steps) {
    if (!engine.status().alive) throw std::runtime_error("the engine ended");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

// A pool for the longest sequence and a few more: preemption is common.
engine::EngineOptions options_for(const char* folder, const MixShape& shape) {
  engine::EngineOptions options;
  options.model_folder = folder;
  const auto probe = engine::load_engine(options, {});
  const engine::ModelInfo& info = probe->info();
  const std::int64_t blocks = (shape.longest_prompt + shape.longest_output) / info.block_size + 4;
  options.kv_cache_memory = info.kv_bytes / info.num_blocks * blocks;
  options.scheduler.max_num_batched_tokens = 16;  // many small steps
  // Preempted ones come back through host memory.
  options.tiers.host_memory = *options.kv_cache_memory * 4;
  options.tiers.read_policy = cache::ReadPolicy::kAlways;
  return options;
}

bool report(std::int64_t steps, const engine::EngineStatus& before,
            const engine::EngineStatus& after, std::int64_t allocations) {
  const std::int64_t preemptions = after.num_preemptions - before.num_preemptions;
  const std::int64_t aborts = after.requests_aborted - before.requests_aborted;
  const std::int64_t arrivals = after.requests_accepted - before.requests_accepted;
  std::printf("%lld steps: %lld arrivals, %lld aborts, %lld preemptions, %lld allocations on %s\n",
              static_cast<long long>(steps), static_cast<long long>(arrivals),
              static_cast<long long>(aborts), static_cast<long long>(preemptions),
              static_cast<long long>(allocations), kEngineThread);
  if (preemptions == 0 || aborts == 0 || arrivals == 0) {
    std::printf("nothing is shown without arrivals, aborts and preemptions\n");
    return false;
  }
  print_traces();
  return allocations == 0;
}

bool run(const char* folder, int num_threads, std::int64_t steps) {
  const MixShape shape{.count = 100, .seed = 3, .longest_prompt = 60, .longest_output = 60};
  engine::EngineOptions options = options_for(folder, shape);
  options.num_threads = num_threads;
  const auto engine = engine::load_engine(options, {});
  const auto requests = make_request_mix(shape, engine->tokenizer(), engine->info().vocab_size);
  std::atomic<bool> over{false};
  std::vector<std::jthread> clients;
  for (int i = 0; i < kClients; ++i)
    clients.emplace_back(
        [&, i] { come_and_go(*engine, requests, static_cast<std::uint64_t>(i), over); });
  wait_for_steps(*engine, kWarmUpSteps);
  const engine::EngineStatus before = engine->status();
  start_counting(kEngineThread);
  wait_for_steps(*engine, before.num_steps + steps);
  const std::int64_t allocations = stop_counting();
  const engine::EngineStatus after = engine->status();
  over = true;
  clients.clear();  // joins
  return report(after.num_steps - before.num_steps, before, after, allocations);
}

// The counter sees what the engine's thread would do: a test that cannot fail shows nothing.
bool counter_works() {
  std::int64_t seen = 0;
  std::thread([&seen] {
    pthread_setname_np(pthread_self(), kEngineThread);
    start_counting(kEngineThread);
    std::vector<int> memory(100);
    seen = stop_counting();
    if (memory[0] != 0) std::abort();  // keeps the allocation
  }).join();
  return seen == 1;
}

}  // namespace
}  // namespace quire::e2e

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: no_allocations FOLDER [steps]\n");
    return 2;
  }
  try {
    if (!quire::e2e::counter_works()) {
      std::fprintf(stderr, "the counter does not count\n");
      return 1;
    }
    const std::int64_t steps = argc > 2 ? std::strtoll(argv[2], nullptr, 10) : 10000;
    // Two threads for a part only: where another program has the second core, joins are slow.
    const bool shared = quire::e2e::run(argv[1], 2, steps / 10);
    return quire::e2e::run(argv[1], 1, steps) && shared ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "no_allocations: %s\n", error.what());
    return 1;
  }
}
