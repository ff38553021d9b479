#include "engine/tiers/remote_store.h"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace quire::engine {
namespace {

using Clock = std::chrono::steady_clock;

timeval to_timeval(std::chrono::milliseconds time) {
  return {.tv_sec = time.count() / 1000, .tv_usec = time.count() % 1000 * 1000};
}

// "quire:" and 64 hexadecimal digits.
using Name = std::array<char, 71>;
Name name_of(const cache::PageKey& key) {
  Name name;
  int at = std::snprintf(name.data(), name.size(), "quire:");
  for (const std::uint64_t word : key.words) {
    at += std::snprintf(name.data() + at, name.size() - static_cast<std::size_t>(at), "%016llx",
                        static_cast<unsigned long long>(word));
  }
  return name;
}

}  // namespace

void RemoteStore::Closer::operator()(redisContext* context) const { redisFree(context); }
void RemoteStore::Closer::operator()(redisReply* reply) const { freeReplyObject(reply); }

RemoteStore::RemoteStore(const RemoteOptions& options)
    : options_(options), record_(options.shape.record_bytes()) {}

RemoteStore::~RemoteStore() = default;

bool RemoteStore::is_up() const {
  return Clock::now().time_since_epoch().count() >= up_again_.load(std::memory_order_relaxed);
}

StoreOutcome RemoteStore::fail() {
  TierCounters::add(counters_.failures);
  context_.reset();
  up_again_.store((Clock::now() + pause_).time_since_epoch().count(), std::memory_order_relaxed);
  pause_ = std::min(2 * pause_, kLongestPause);
  return StoreOutcome::kFailed;
}

bool RemoteStore::connect() {
  if (context_ != nullptr) return true;
  const RemoteAddress& address = options_.address;
  context_.reset(redisConnectWithTimeout(address.host.c_str(), address.port,
                                         to_timeval(options_.connect_timeout)));
  if (context_ == nullptr || context_->err != 0) return false;
  return redisSetTimeout(context_.get(), to_timeval(options_.command_timeout)) == REDIS_OK &&
         log_in();
}

bool RemoteStore::log_in() {
  const RemoteAddress& address = options_.address;
  const auto accepted = [](void* reply) {
    const Reply owned(static_cast<redisReply*>(reply));
    return owned != nullptr && owned->type != REDIS_REPLY_ERROR;
  };
  redisContext* const c = context_.get();
  const auto& [user, password] = std::tie(address.user, address.password);
  if (!password.empty() && user.empty() &&
      !accepted(redisCommand(c, "AUTH %b", password.data(), password.size()))) {
    return false;
  }
  if (!user.empty() && !accepted(redisCommand(c, "AUTH %b %b", user.data(), user.size(),
                                              password.data(), password.size()))) {
    return false;
  }
  return address.db == 0 || accepted(redisCommand(c, "SELECT %d", address.db));
}

StoreOutcome RemoteStore::read(const cache::PageKey& key, std::span<const TokenId> tokens,
                               std::span<std::byte> pages) {
  RemoteRead one{.key = key, .tokens = tokens, .pages = pages};
  read(std::span(&one, 1));
  return one.outcome;
}

void RemoteStore::read(std::span<RemoteRead> reads) {
  for (RemoteRead& read : reads) read.outcome = StoreOutcome::kAbsent;
  if (reads.empty() || !is_up()) return;
  bool good = connect();
  for (const RemoteRead& read : reads) {
    good =
        good && redisAppendCommand(context_.get(), "GET %s", name_of(read.key).data()) == REDIS_OK;
  }
  // The first reply that does not come ends it: those after it would be answers to other questions.
  for (RemoteRead& read : reads) {
    void* reply = nullptr;
    good = good && redisGetReply(context_.get(), &reply) == REDIS_OK;
    const Reply owned(static_cast<redisReply*>(reply));
    good = good && owned != nullptr && owned->type != REDIS_REPLY_ERROR;
    read.outcome = good ? take(*owned, read) : StoreOutcome::kFailed;
  }
  if (good && remove_corrupt(reads)) {
    pause_ = kFirstPause;
  } else {
    fail();
  }
}

// In one round trip: else they would be fetched and refused again and again. False: no reply came.
bool RemoteStore::remove_corrupt(std::span<const RemoteRead> reads) {
  int num_asked = 0;
  for (const RemoteRead& read : reads) {
    if (read.outcome != StoreOutcome::kCorrupt) continue;
    if (redisAppendCommand(context_.get(), "DEL %s", name_of(read.key).data()) != REDIS_OK) {
      return false;
    }
    ++num_asked;
  }
  for (; num_asked > 0; --num_asked) {
    void* reply = nullptr;
    if (redisGetReply(context_.get(), &reply) != REDIS_OK) return false;
    const Reply owned(static_cast<redisReply*>(reply));
  }
  return true;
}

StoreOutcome RemoteStore::take(const redisReply& reply, const RemoteRead& read) {
  if (reply.type != REDIS_REPLY_STRING) {
    TierCounters::add(counters_.misses);
    return StoreOutcome::kAbsent;
  }
  // The reply's own bytes have any alignment.
  const auto bytes = std::as_bytes(std::span(reply.str, reply.len));
  std::span<const std::byte> found;
  if (bytes.size() == record_.size()) {
    std::ranges::copy(bytes, record_.begin());
    found = read_record(options_.shape, read.key, read.tokens, record_);
  }
  if (found.empty()) {
    TierCounters::add(counters_.corrupt);
    return StoreOutcome::kCorrupt;
  }
  std::ranges::copy(found, read.pages.begin());
  TierCounters::add(counters_.hits);
  TierCounters::add(counters_.bytes_read, static_cast<std::int64_t>(bytes.size()));
  return StoreOutcome::kDone;
}

StoreOutcome RemoteStore::write(const cache::PageKey& key, std::span<const TokenId> tokens,
                                std::span<const std::byte> pages) {
  if (!is_up()) return StoreOutcome::kAbsent;
  if (!connect()) return fail();
  write_record(options_.shape, {.stamp = 0, .key = key, .tokens = tokens}, pages, record_);
  const Reply reply(static_cast<redisReply*>(redisCommand(
      context_.get(), "SET %s %b", name_of(key).data(), record_.data(), record_.size())));
  if (reply == nullptr || reply->type == REDIS_REPLY_ERROR) return fail();
  pause_ = kFirstPause;
  TierCounters::add(counters_.writes);
  TierCounters::add(counters_.bytes_written, static_cast<std::int64_t>(record_.size()));
  return StoreOutcome::kDone;
}

}  // namespace quire::engine
