#include "server/service.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <random>

namespace quire::server {
namespace {

constexpr int kMaxRetryAfter = 60;  // seconds

std::uint64_t random_start() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) ^ device();
}

// The mean output of those that ended.
double tokens_per_request(const engine::EngineStatus& status) {
  const double ended = static_cast<double>(std::max<std::int64_t>(status.requests_finished, 1));
  return std::max(static_cast<double>(status.generation_tokens) / ended, 1.0);
}

}  // namespace

Service::Service(ServiceOptions options)
    : options_(std::move(options)),
      created_(std::time(nullptr)),
      bodies_(options_.http.max_bodies_bytes),
      places_(options_.max_concurrent_per_key),
      failed_keys_(options_.max_failed_keys),
      counter_(random_start()),
      work_(options_.work_threads, options_.max_work_queue) {}

void Service::set_engine(engine::Engine& engine) {
  engine_.store(&engine, std::memory_order_release);
  set_phase(Phase::kServing);
}

void Service::set_phase(Phase phase) {
  Phase now = phase_;
  while (now < phase && !phase_.compare_exchange_weak(now, phase)) {
  }
}

bool Service::healthy() const {
  const engine::Engine* engine = this->engine();
  if (engine == nullptr || phase_ != Phase::kServing) return false;
  const engine::EngineStatus status = engine->status();
  return status.ready && status.heartbeat_age < options_.max_heartbeat_age;
}

proto::RequestLimits Service::request_limits() const {
  proto::RequestLimits limits = options_.request;
  if (const engine::Engine* engine = this->engine()) limits.vocab_size = engine->info().vocab_size;
  return limits;
}

std::chrono::duration<double> Service::expected_wait() const {
  const engine::Engine* engine = this->engine();
  if (engine == nullptr) return {};
  const engine::EngineStatus status = engine->status();
  if (status.tokens_per_second <= 0.0 || status.requests_finished == 0) return {};
  return std::chrono::duration<double>(status.waiting * tokens_per_request(status) /
                                       status.tokens_per_second);
}

int Service::retry_after() const {
  const engine::Engine* engine = this->engine();
  if (engine == nullptr) return 1;
  const engine::EngineStatus status = engine->status();
  const double rate = std::max(status.tokens_per_second, 1.0);
  const double seconds = std::ceil(status.waiting * tokens_per_request(status) / rate);
  return static_cast<int>(std::clamp(seconds, 1.0, double{kMaxRetryAfter}));
}

HttpResponse Service::error_response(const Error& error) const {
  HttpResponse response{.status = proto::http_status(error.code), .body = proto::error_body(error)};
  if (response.status == 429 || response.status == 503) {
    response.fields.emplace_back("Retry-After", std::to_string(retry_after()));
  }
  response.close = phase_ > Phase::kServing;
  return response;
}

void Service::enter() {
  const std::lock_guard lock(mutex_);
  ++in_flight_;
}

void Service::leave() {
  const std::lock_guard lock(mutex_);
  if (--in_flight_ == 0) idle_.notify_all();
}

std::int64_t Service::in_flight() const {
  const std::lock_guard lock(mutex_);
  return in_flight_;
}

bool Service::wait_idle(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return idle_.wait_until(lock, deadline, [this] { return in_flight_ == 0; });
}

// SplitMix64 over a counter with a random start: a bijection, so no value comes twice.
std::uint64_t Service::draw() {
  std::uint64_t z = counter_.fetch_add(0x9E3779B97F4A7C15u) + 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace quire::server
