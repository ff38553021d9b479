#include "tests/e2e/company.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <random>
#include <stdexcept>
#include <thread>

namespace quire::e2e {
namespace {

std::unique_ptr<engine::TokenStream> submit(engine::Engine& engine,
                                            const engine::GenerationRequest& request) {
  auto stream = engine.submit(request, nullptr);
  if (!stream) throw std::runtime_error("a request was refused: " + stream.error().message);
  return std::move(stream).value();
}

RequestRecord run_one(engine::Engine& engine, const engine::GenerationRequest& request) {
  const auto stream = submit(engine, request);
  return read_to_end(*stream, request.prompts.size() * static_cast<std::size_t>(request.n));
}

std::vector<std::size_t> shuffled(std::size_t count, std::uint64_t seed) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), std::mt19937_64(seed));
  return order;
}

// Submits requests and leaves each after a few looks, until told to stop.
std::int64_t disturb(engine::Engine& engine, std::span<const engine::GenerationRequest> requests,
                     std::uint64_t seed, const std::atomic<bool>& over) {
  std::mt19937_64 dice(seed);
  std::vector<engine::Delta> deltas;
  std::int64_t left = 0;
  while (!over.load()) {
    const auto stream = submit(engine, requests[dice() % requests.size()]);
    bool more = true;
    for (std::uint64_t looks = dice() % 4; looks > 0 && more; --looks) {
      stream->wait();
      deltas.clear();
      more = stream->drain(deltas);
    }
    if (more) ++left;
  }
  return left;
}

}  // namespace

std::vector<RequestRecord> run_alone(engine::Engine& engine,
                                     std::span<const engine::GenerationRequest> requests) {
  std::vector<RequestRecord> records;
  records.reserve(requests.size());
  for (const engine::GenerationRequest& request : requests)
    records.push_back(run_one(engine, request));
  return records;
}

CompanyResult run_in_company(engine::Engine& engine,
                             std::span<const engine::GenerationRequest> requests,
                             const Company& company) {
  CompanyResult result;
  result.records.resize(requests.size());
  const std::vector<std::size_t> order = shuffled(requests.size(), company.seed);
  std::atomic<std::size_t> next{0};
  std::atomic<bool> over{false};
  std::atomic<std::int64_t> left{0};

  std::vector<std::jthread> disturbers;
  for (int i = 0; i < company.disturbers; ++i)
    disturbers.emplace_back([&, seed = company.seed * 1000 + static_cast<std::uint64_t>(i)] {
      left += disturb(engine, requests, seed, over);
    });
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < company.at_a_time; ++i)
      clients.emplace_back([&] {
        for (std::size_t k = next++; k < order.size(); k = next++)
          result.records[order[k]] = run_one(engine, requests[order[k]]);
      });
  }
  over = true;
  disturbers.clear();  // joins
  result.num_left = left;
  return result;
}

}  // namespace quire::e2e
