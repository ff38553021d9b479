#pragma once
// StreamTable: which stream and choice a running sequence belongs to.
//
// Open addressing with linear probing over a power of two of slots, at most half full; erasing
// shifts the run back, so there are no tombstones. Engine thread only.
// 1. Capacity is fixed at construction: insert() allocates nothing and never fails (checked).
// 2. SequenceId 0 is never used: it marks a free slot.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "engine/request_times.h"
#include "engine/token_stream_state.h"
#include "proto/check.h"
#include "proto/types.h"

namespace quire::engine {

class StreamTable final {
 public:
  struct Entry {
    SequenceId id{};
    std::shared_ptr<StreamState> stream;
    std::int32_t choice = 0;
    RequestTimes times = {};

    // How its choice ended, as its reader is told: a stop string may have come with the very token
    // that the scheduler ended it by. The engine thread alone writes it.
    [[nodiscard]] FinishReason finish() const {
      return stream->choices[static_cast<std::size_t>(choice)].finish;
    }
  };

  explicit StreamTable(std::size_t max_sequences)
      : slots_(std::bit_ceil(max_sequences * 2 + 2)), mask_(slots_.size() - 1) {}

  void insert(SequenceId id, std::shared_ptr<StreamState> stream, std::int32_t choice,
              RequestTimes times = {}) {
    CHECK(size_ * 2 < slots_.size());
    std::size_t i = home(id);
    while (slots_[i].id != SequenceId{}) i = (i + 1) & mask_;
    slots_[i] = {.id = id, .stream = std::move(stream), .choice = choice, .times = times};
    ++size_;
  }

  // Null where the id is not (or no longer) here.
  [[nodiscard]] Entry* find(SequenceId id) {
    for (std::size_t i = home(id); slots_[i].id != SequenceId{}; i = (i + 1) & mask_) {
      if (slots_[i].id == id) return &slots_[i];
    }
    return nullptr;
  }

  void erase(Entry* entry) {
    std::size_t hole = static_cast<std::size_t>(entry - slots_.data());
    for (std::size_t i = (hole + 1) & mask_; slots_[i].id != SequenceId{}; i = (i + 1) & mask_) {
      const bool may_move = ((i - home(slots_[i].id)) & mask_) >= ((i - hole) & mask_);
      if (!may_move) continue;
      slots_[hole] = std::move(slots_[i]);
      hole = i;
    }
    slots_[hole] = Entry{};
    --size_;
  }

  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  // Ids come from a counter: a multiplicative hash spreads neighbours.
  [[nodiscard]] std::size_t home(SequenceId id) const {
    return static_cast<std::size_t>(static_cast<std::uint64_t>(id) * 0x9E3779B97F4A7C15u >> 20) &
           mask_;
  }

  std::vector<Entry> slots_;
  std::size_t mask_;
  std::size_t size_ = 0;
};

}  // namespace quire::engine
