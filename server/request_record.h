#pragma once
// RequestRecord: what happened to one request, as the log and /v1/requests/{id} tell it; and
// RecentRequests: the records of the last ones.
//
// Filled by the connection and its job on their I/O thread. RecentRequests: any thread, a short
// lock.
// 1. A record holds no word of a prompt or an answer, unless the operator asked for content.
// 2. At most kMaxRecent records are kept; the oldest goes first.

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/page_source.h"
#include "proto/types.h"

namespace quire::server {

struct RequestRecord {
  std::string id;         // X-Request-Id
  std::string answer_id;  // "cmpl-..."; empty: it never reached the engine
  std::string key_name;   // empty where no keys are configured
  std::string_view route = "-";
  int status = 0;  // 0: the client left before an answer
  bool stream = false;
  std::int64_t created = 0;  // seconds since 1970
  double seconds = 0.0;      // from the header to the last byte

  // Of what was generated.
  std::int32_t num_prompts = 0;
  std::int32_t num_choices = 0;  // of all prompts together
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;                                     // of them; prefix hits
  std::array<std::int64_t, kPageSourceNames.size()> reused_blocks{};  // by where they were
  std::int64_t output_tokens = 0;
  std::int32_t num_prefill_chunks = 0;
  std::int32_t num_preemptions = 0;
  // Over the choices: the first's, the first's, the mean and the largest. Absent: did not happen.
  std::optional<double> queue_seconds = {}, first_token_seconds = {}, seconds_per_token = {};
  double largest_gap_seconds = 0.0;
  FinishReason finish = FinishReason::kNone;  // of the first choice; kAbort: the client left
  std::string prompt = {}, output = {};       // with --log-content, cut to kMaxLoggedContent
};

inline constexpr std::size_t kMaxLoggedContent = 8 * 1024;

class RecentRequests final {
 public:
  static constexpr std::size_t kMaxRecent = 1024;

  void add(RequestRecord record);
  // The newest with that X-Request-Id or answer id that `key_name` made.
  [[nodiscard]] std::optional<RequestRecord> find(std::string_view id,
                                                  std::string_view key_name) const;

 private:
  mutable std::mutex mutex_;
  std::vector<RequestRecord> ring_;
  std::size_t next_ = 0;  // where the next one goes, once the ring is full
};

[[nodiscard]] std::string_view finish_name(FinishReason finish);
// The body of /v1/requests/{id}.
[[nodiscard]] std::string request_body(const RequestRecord& record);
// One line of the log.
void log_request(const RequestRecord& record, std::string_view method, std::string_view model,
                 bool with_content);

}  // namespace quire::server
