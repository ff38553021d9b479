#pragma once
// SampleUpload: what sampling a step's rows of logits on the device takes, and what comes back.
//
// Buffers of its own, not StepUpload's: their addresses do not depend on what the step uploaded
// before, so a padded step's graph has sampling in it. A step's data is one copy there and one
// or two back: ids, and logprobs where they were asked for.
// What a row asks for that the device has no room or order for is left to the host's sampler: more
// than kMaxSampleTop logprobs, a top_k above kMaxSorted, a token biased twice, or lists (biases,
// masks, the history of penalties) past kMaxListed ids in the step.
// 1. Two steps may be in flight. The host's memory is there twice, by turns: what a step in flight
//    still reads or is yet to write is not touched for the next. The device's is there once: on the
//    stream a step's data arrives after the step before has read, and leaves before the next
//    writes.
// 2. So a step finds in results() what the one before it chose, until it samples itself.
// One owner, the engine thread. Allocates at construction only.

#include <array>
#include <cstdint>
#include <memory>

#include "engine/backend/cuda/device.h"
#include "engine/backend/sample_tile.h"

namespace quire::engine::cuda {

inline constexpr std::int64_t kMaxSampleRows = 32;  // of a tile
inline constexpr std::int32_t kMaxSampleTop = 32;
inline constexpr std::int64_t kMaxListed = std::int64_t{1} << 20;

class SampleUpload final {
 public:
  // max_samples: of a step.
  SampleUpload(Device& device, std::int64_t vocab_size, std::int64_t max_samples);

  [[nodiscard]] std::int64_t vocab_size() const { return vocab_size_; }
  [[nodiscard]] std::int64_t max_samples() const { return max_samples_; }
  [[nodiscard]] const QuireCudaSampleResult* results() const;
  [[nodiscard]] std::size_t num_in_flight() const { return num_in_flight_; }

  // Lays the next step's samples out; how many of them the device has. Does not begin the step.
  [[nodiscard]] std::size_t fill(std::span<const scheduler::StepSample> samples,
                                 std::span<const TokenId> end_token_ids);
  // The fields for op.x.rows rows of logits, of which the first is the step's sample `first`. What
  // is more than its samples is padding.
  void describe(QuireCudaOp& op, std::int64_t first);
  void send(Stream& stream);
  // The results' way back, behind the step's ops: the step is in flight now.
  void fetch(Stream& stream);
  // Waits for the oldest step in flight, but not for the one behind it, and writes its samples'
  // rows; those that the device left, or could not put in order, stay as they are.
  void collect(std::span<SampledRow> rows, std::span<TokenLogprob> tops, std::int64_t tops_stride);

 private:
  // The host's side of one step.
  struct Step {
    Step(Device& device, std::int64_t upload_bytes, std::int64_t result_bytes)
        : upload(device, kQuireCudaPinned, upload_bytes),
          results(device, kQuireCudaPinned, result_bytes),
          is_back(device) {}
    Memory upload;   // rows, then lists
    Memory results;  // then tops
    Event is_back;
    std::int64_t num_samples = 0;
    std::int64_t num_rows = 0;  // with padding
    std::int32_t listed = 0;
    bool tops_wanted = false;
  };

  [[nodiscard]] Step& next_step() { return *steps_[next_]; }
  [[nodiscard]] bool fill_row(const scheduler::StepSample& sample,
                              std::span<const TokenId> end_token_ids, QuireCudaSampleRow& row);
  [[nodiscard]] bool add_lists(const scheduler::StepSample& sample,
                               std::span<const TokenId> end_token_ids, QuireCudaSampleRow& row);
  void read_row(const QuireCudaSampleRow& row, const QuireCudaSampleResult& result,
                const QuireCudaSampleTop* entries, SampledRow& out,
                std::span<TokenLogprob> top) const;
  [[nodiscard]] bool known(TokenId id) const { return id >= 0 && id < vocab_size_; }
  [[nodiscard]] static QuireCudaSampleRow* rows(const Step& step);
  [[nodiscard]] std::int32_t* lists(const Step& step) const;

  const std::int64_t vocab_size_;
  const std::int64_t max_samples_;  // a multiple of a tile
  const std::int64_t row_bytes_;
  const std::int64_t result_bytes_;
  Memory device_;
  Memory workspace_;
  Memory results_;  // of the device: results, then tops
  std::array<std::unique_ptr<Step>, 2> steps_;
  std::size_t next_ = 0;  // of steps_: whose turn it is
  std::size_t num_in_flight_ = 0;
};

}  // namespace quire::engine::cuda
