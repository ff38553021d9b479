// Memory under the arrivals and lengths of a public chat trace: the real scheduler and cache, and
// an executor that only lets time pass.
//
//   trace_memory [FILE, ../shared/data/traces/azure_2023_conv.csv] [BLOCK_SIZE, 16]
//
// A line of the trace is an arrival, a prompt's and an answer's length. A step takes 10 ms and 50
// us per token. Two runs: at the trace's own arrivals, and with everything waiting from the start,
// which keeps the pool full. Wasted are the slots of held blocks that hold no token once the step
// is done, weighted with the step's time. Exit status 0: below 4 %, PagedAttention's figure; 77: no
// trace.

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cache/kv_cache_manager.h"
#include "proto/check.h"
#include "scheduler/scheduler.h"

namespace quire {
namespace {

using scheduler::Clock;

// The trace's longest prompt and answer together are 14,089.
constexpr std::int32_t kMaxModelLen = 16384;
constexpr std::int64_t kPoolTokens = std::int64_t{16} * kMaxModelLen;
constexpr double kMostWaste = 0.04;

struct Line {
  double seconds = 0;  // since the first
  std::int32_t prompt = 0;
  std::int32_t answer = 0;
};

double number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  CHECK(error == std::errc{} && end == text.data() + text.size());
  return value;
}

// "2023-11-16 18:15:46.6805900,374,44"; all of one evening.
Line parse(std::string_view text) {
  const std::size_t first = text.find(',');
  const std::size_t second = text.find(',', first + 1);
  CHECK(first != std::string_view::npos && second != std::string_view::npos && first > 19);
  if (text.ends_with('\r')) text.remove_suffix(1);
  return {.seconds = number(text.substr(11, 2)) * 3600 + number(text.substr(14, 2)) * 60 +
                     number(text.substr(17, first - 17)),
          .prompt = static_cast<std::int32_t>(number(text.substr(first + 1, second - first - 1))),
          .answer = static_cast<std::int32_t>(number(text.substr(second + 1)))};
}

std::vector<Line> read_trace(const char* path) {
  std::ifstream in(path);
  std::vector<Line> lines;
  std::string text;
  std::getline(in, text);  // the names of the columns
  while (std::getline(in, text)) {
    if (!text.empty()) lines.push_back(parse(text));
  }
  for (std::size_t i = lines.size(); i-- > 0;) lines[i].seconds -= lines.front().seconds;
  return lines;
}

std::unique_ptr<scheduler::Sequence> sequence_of(const Line& line, std::uint64_t number) {
  auto sequence = std::make_unique<scheduler::Sequence>();
  sequence->id = SequenceId{number};
  sequence->arrival = number;
  sequence->params.max_tokens = line.answer;
  sequence->params.ignore_eos = true;
  sequence->num_prompt_tokens = line.prompt;
  // The trace says nothing of contents: no two prompts share anything.
  const auto salt = static_cast<TokenId>(number);
  for (std::int32_t i = 0; i < line.prompt; ++i) sequence->tokens.push_back(i == 0 ? salt : i);
  return sequence;
}

// Sums weighted with the time of the steps.
struct Totals {
  double seconds = 0;
  double slots = 0;    // of held blocks
  double tokens = 0;   // in them
  double waiting = 0;  // slots for prompt tokens that later steps compute: part of what is empty
  double running = 0;  // sequences
  std::int64_t steps = 0;
  std::int64_t finished = 0;
};

class Replay final {
 public:
  explicit Replay(std::int32_t block_size)
      : block_size_(block_size),
        cache_(
            {.num_blocks = static_cast<std::int32_t>(kPoolTokens / block_size),
             .max_step_tokens = options().max_num_batched_tokens},
            {.groups =
                 {{.num_layers = 1, .num_kv_heads = 1, .head_dim = 8, .block_size = block_size}}}),
        scheduler_(options(), cache_) {
    scheduler_.reserve(plan_, events_);
  }

  Totals run(const std::vector<Line>& lines, bool at_once) {
    std::size_t next = 0;
    while (next < lines.size() || !scheduler_.idle()) {
      for (; next < lines.size() && (at_once || lines[next].seconds <= now_); ++next) {
        if (!scheduler_.queue_has_room(1)) break;
        auto sequence = sequence_of(lines[next], next + 1);
        sequence->arrival_time = time();
        scheduler_.add(std::move(sequence));
      }
      step();
      // While the last ones drain the pool is no longer full: that says nothing of its capacity.
      if (at_once && next == lines.size() && scheduler_.stats().waiting == 0) return totals_;
      if (plan_.empty() && next < lines.size()) now_ = std::max(now_, lines[next].seconds);
    }
    return totals_;
  }
  [[nodiscard]] std::int64_t num_preemptions() const { return scheduler_.stats().num_preemptions; }
  ~Replay() { scheduler_.fail_all(FinishReason::kAbort, events_); }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

 private:
  static scheduler::SchedulerOptions options() {
    return {.max_num_seqs = 1024,
            .max_num_batched_tokens = 2048,
            .max_queue_len = 1 << 15,
            .max_model_len = kMaxModelLen,
            .request_deadline = std::chrono::hours(1000),
            .eos_token_ids = {}};
  }
  [[nodiscard]] Clock::time_point time() const {
    return Clock::time_point(
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(now_)));
  }

  void step() {
    events_.clear();
    scheduler_.schedule(time(), plan_, events_);
    if (plan_.empty()) return;
    const double seconds = 0.01 + 50e-6 * static_cast<double>(plan_.tokens.size());
    measure(seconds);
    now_ += seconds;
    output_.clear();
    output_.step_id = plan_.step_id;
    for (std::size_t i = 0; i < plan_.samples.size(); ++i) {
      output_.samples.push_back({.token_begin = static_cast<std::int32_t>(i), .num_tokens = 1});
      output_.tokens.push_back({.token = 7});
    }
    output_.copies_completed = static_cast<std::int32_t>(plan_.copies.size());
    scheduler_.update(plan_, output_, events_);
    for (const scheduler::TokenEvent& event : events_) {
      if (event.finish != FinishReason::kNone) ++totals_.finished;
    }
  }

  void measure(double seconds) {
    double slots = 0;
    auto tokens = static_cast<double>(plan_.tokens.size());
    double known = 0;
    for (const scheduler::Sequence* sequence : scheduler_.sequences()) {
      if (sequence->blocks.num_held() == 0) continue;
      slots += static_cast<double>(sequence->blocks.num_held()) * block_size_;
      tokens += sequence->num_computed_tokens;
      known += sequence->num_tokens();
    }
    const auto usage = cache_.usage();
    CHECK_EQ(
        static_cast<std::int64_t>(slots),  // nothing is shared in this trace
        std::int64_t{usage.total_blocks - usage.free_blocks - usage.reserved_blocks} * block_size_);
    totals_.seconds += seconds;
    totals_.slots += slots * seconds;
    totals_.tokens += tokens * seconds;
    totals_.waiting += (known - tokens) * seconds;
    totals_.running += static_cast<double>(scheduler_.stats().running) * seconds;
    ++totals_.steps;
  }

  const std::int32_t block_size_;
  cache::KvCacheManager cache_;
  scheduler::Scheduler scheduler_;
  scheduler::StepPlan plan_;
  scheduler::StepOutput output_;
  std::vector<scheduler::TokenEvent> events_;
  double now_ = 0;  // seconds
  Totals totals_;
};

int run(int argc, char** argv) {
  const char* path = argc > 1 ? argv[1] : "../shared/data/traces/azure_2023_conv.csv";
  const std::int32_t block_size = argc > 2 ? std::atoi(argv[2]) : 16;
  const std::vector<Line> lines = read_trace(path);
  if (lines.empty()) {
    std::printf("no trace at %s: skipped\n", path);
    return 77;
  }
  constexpr std::int64_t kContiguous = kPoolTokens / kMaxModelLen;
  std::printf("%zu requests; blocks of %d tokens, a pool of %lld tokens, max_model_len %d\n",
              lines.size(), block_size, static_cast<long long>(kPoolTokens), kMaxModelLen);
  std::printf("%-22s %9s %9s %9s %9s %9s %9s %12s\n", "arrivals", "steps", "finished", "preempted",
              "wasted", "its part", "running", "contiguous");
  bool good = true;
  for (const bool at_once : {false, true}) {
    Replay replay(block_size);
    const Totals sum = replay.run(lines, at_once);
    const double wasted = 1.0 - sum.tokens / sum.slots;
    const double running = sum.running / sum.seconds;
    std::printf("%-22s %9lld %9lld %9lld %8.2f%% %8.2f%% %9.1f %5lld (%.1fx)\n",
                at_once ? "all at the start" : "the trace's own", static_cast<long long>(sum.steps),
                static_cast<long long>(sum.finished),
                static_cast<long long>(replay.num_preemptions()), 100 * wasted,
                100 * sum.waiting / sum.slots, running, static_cast<long long>(kContiguous),
                running / static_cast<double>(kContiguous));
    good = good && wasted < kMostWaste;
  }
  std::printf("its part: slots of prompt tokens that later steps compute\n");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace quire

int main(int argc, char** argv) { return quire::run(argc, argv); }
