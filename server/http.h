#pragma once
// The words between the connection and the handlers: a request, an answer, and the limits on both.
// Plain values; nothing of Asio or Beast.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/peer_address.h"

namespace quire::server {

// Limits on what a peer may send and how long it may take. Defaults are from RELIABILITY's list.
struct HttpLimits {
  std::size_t max_header_bytes = 8 * 1024;  // request line and fields
  std::size_t max_fields = 100;
  std::size_t max_target_bytes = 4 * 1024;
  std::size_t max_body_bytes = 4 * 1024 * 1024;    // a prompt that fills any context we serve
  std::size_t max_chunk_ext_bytes = 1024;          // over all chunks of one body
  std::size_t max_chunks = 65536;                  // each costs a header: bounds the work per byte
  std::size_t max_buffered_bytes = 64 * 1024;      // received and not yet parsed
  std::int64_t max_bodies_bytes = 256 << 20;       // all bodies in flight together
  std::size_t max_requests_per_connection = 1000;  // a long-lived client reconnects now and then

  std::chrono::milliseconds tls_handshake_timeout = std::chrono::seconds(5);
  std::chrono::milliseconds header_timeout = std::chrono::seconds(10);
  std::chrono::milliseconds body_gap_timeout = std::chrono::seconds(10);  // between two reads
  std::chrono::milliseconds body_timeout = std::chrono::seconds(60);
  std::chrono::milliseconds idle_timeout = std::chrono::seconds(75);
  std::chrono::milliseconds write_stall_timeout = std::chrono::seconds(30);
  std::chrono::milliseconds ping_interval = std::chrono::seconds(15);
  // After an answer that refuses a request whose body was not read: how long what still comes is
  // thrown away, so that the peer sees the answer and not a reset.
  std::chrono::milliseconds linger_timeout = std::chrono::seconds(2);
};

// What all request bodies in memory weigh together.
class BodyBudget final {
 public:
  explicit BodyBudget(std::int64_t limit_bytes) : limit_(limit_bytes) {}
  [[nodiscard]] bool try_take(std::int64_t bytes) {
    if (used_.fetch_add(bytes) + bytes <= limit_) return true;
    used_.fetch_sub(bytes);
    return false;
  }
  void give_back(std::int64_t bytes) { used_.fetch_sub(bytes); }
  [[nodiscard]] std::int64_t used() const { return used_; }

 private:
  const std::int64_t limit_;
  std::atomic<std::int64_t> used_{0};
};

// What one body takes of the budget, given back when it goes.
class BodyCharge final {
 public:
  BodyCharge() = default;
  explicit BodyCharge(BodyBudget* budget) : budget_(budget) {}
  BodyCharge(BodyCharge&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  BodyCharge& operator=(BodyCharge&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~BodyCharge() {
    if (budget_ != nullptr) budget_->give_back(bytes_);
  }
  // False: the budget is spent; nothing was taken. Without a budget everything fits.
  [[nodiscard]] bool grow(std::int64_t bytes) {
    if (budget_ == nullptr) return true;
    if (!budget_->try_take(bytes)) return false;
    bytes_ += bytes;
    return true;
  }

 private:
  BodyBudget* budget_ = nullptr;
  std::int64_t bytes_ = 0;
};

// A body and what it is charged with: whoever takes the one has the other.
struct HttpBody {
  std::string text;
  BodyCharge charge;
};

// A request as parsed. Field names are lower case; a field may occur several times.
struct HttpRequest {
  std::string method;
  std::string path;   // before '?', as sent
  std::string query;  // after it
  int version = 11;   // 10 or 11
  std::vector<std::pair<std::string, std::string>> fields;
  HttpBody body;
  bool keep_alive = true;
  bool expects_continue = false;
  // Set by the session.
  PeerAddress peer;
  std::string id;        // X-Request-Id: the client's, or made
  std::string path_arg;  // what {id} of the route matched, percent-decoded
  std::string key_name;  // whose key came with it; empty where none was asked for
  bool admin = false;    // by an admin key, or where none are configured

  // The first field of that name (lower case), or empty.
  [[nodiscard]] std::string_view field(std::string_view name) const {
    for (const auto& [key, value] : fields) {
      if (key == name) return value;
    }
    return {};
  }
};

using HttpFields = std::vector<std::pair<std::string, std::string>>;

struct HttpResponse {
  int status = 200;
  std::string body = {};
  std::string content_type = "application/json";
  HttpFields fields = {};
  bool close = false;  // the connection ends after it
};

[[nodiscard]] std::string_view reason_phrase(int status);
// ASCII only, without the locale.
[[nodiscard]] bool equals_ignoring_case(std::string_view a, std::string_view b);
[[nodiscard]] std::string to_lower(std::string_view text);
// False where a '%' is not followed by two hex digits.
[[nodiscard]] bool percent_decode(std::string_view text, std::string& out);
// True for 1 to 128 of [A-Za-z0-9._-].
[[nodiscard]] bool is_request_id(std::string_view text);

}  // namespace quire::server
