#pragma once
// SampleUpload: what sampling a tile of logits on the device takes, and what comes back of it.
//
// Buffers of its own, not StepUpload's: their addresses do not depend on what the step uploaded
// before, so a padded step's graph has sampling in it. A tile's data is one copy there and one
// or two back: ids, and logprobs where they were asked for.
// What a row asks for that the device has no room or order for is left to the host's sampler: more
// than kMaxSampleTop logprobs, a top_k above kMaxSorted, a token biased twice, or lists (biases,
// masks, the history of penalties) past kMaxListed ids in the tile.
// One owner, the engine thread. Allocates at construction only.

#include <cstdint>

#include "engine/backend/cuda/device.h"
#include "engine/backend/sample_tile.h"

namespace quire::engine::cuda {

inline constexpr std::int64_t kMaxSampleRows = 32;  // of a tile
inline constexpr std::int32_t kMaxSampleTop = 32;
inline constexpr std::int64_t kMaxListed = std::int64_t{1} << 20;

class SampleUpload final {
 public:
  SampleUpload(Device& device, std::int64_t vocab_size);

  [[nodiscard]] std::int64_t vocab_size() const { return vocab_size_; }
  // Lays the tile's rows out, then padding up to num_rows. False: the device has none to sample.
  [[nodiscard]] bool fill(const SampleTile& tile, std::int64_t num_rows);
  // The op's own fields for num_rows of logits.
  void describe(QuireCudaOp& op) const;
  void send(Stream& stream);
  // Waits for the op, and writes the tile's rows.
  void fetch(Stream& stream, const SampleTile& tile);

 private:
  [[nodiscard]] bool fill_row(const scheduler::StepSample& sample,
                              std::span<const TokenId> end_token_ids, QuireCudaSampleRow& row);
  [[nodiscard]] bool add_lists(const scheduler::StepSample& sample,
                               std::span<const TokenId> end_token_ids, QuireCudaSampleRow& row);
  [[nodiscard]] bool known(TokenId id) const { return id >= 0 && id < vocab_size_; }
  [[nodiscard]] QuireCudaSampleRow* rows() const;
  [[nodiscard]] std::int32_t* lists() const;

  std::int64_t vocab_size_;
  Memory host_;  // rows, then lists
  Memory device_;
  Memory workspace_;
  Memory results_;       // of the device: results, then tops
  Memory host_results_;  // pinned
  std::int64_t num_rows_ = 0;
  std::int32_t listed_ = 0;
  bool tops_wanted_ = false;
};

}  // namespace quire::engine::cuda
