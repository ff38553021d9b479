#pragma once
// PageSnapshot: the pool at one moment between two steps: what GET /pages shows. No user text.
//
// A value, made by the engine thread and read by others. Blocks are columns of equal length, so
// that a pool of 100,000 is copied in a fraction of a millisecond.
// 1. Consistent: every column and every request is of the same moment.
// 2. ref_counts[b] is the number of requests' table entries that name b.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "proto/types.h"

namespace quire {

// As a letter, which is how the wire tells it.
enum class PageState : char {
  kFree = 'f',
  kCached = 'c',   // nobody's, and its content may be hit again
  kRunning = 'r',  // one request's
  kShared = 's',   // several requests'
};

struct PageSnapshot {
  struct Request {
    SequenceId id{};
    // w waits, s waits and has pages in host memory, r runs, p paused: its reader is slow
    char state = 'w';
    std::int32_t num_prompt_tokens = 0;
    std::int32_t num_tokens = 0;    // prompt and output
    std::int32_t num_computed = 0;  // of these
    std::int32_t num_preemptions = 0;
    std::int32_t table_begin = 0;  // its entries in `tables`, group after group
    std::int32_t table_end = 0;
  };

  std::uint64_t step = 0;
  std::chrono::system_clock::time_point time{};
  std::int32_t block_size = 0;  // tokens
  std::int64_t page_bytes = 0;
  std::int32_t swapped_pages = 0;  // in host memory: copies that outlive those of the pool
  std::int32_t host_pages = 0;     // of these, as many as there is room for; 0: no host tier

  std::vector<PageState> states;
  std::vector<std::int32_t> ref_counts;
  std::vector<std::int8_t> groups;        // -1: of none
  std::vector<std::uint32_t> changed_at;  // the step in which it was last taken or given back
  std::vector<Request> requests;          // in no particular order
  std::vector<BlockId> tables;

  [[nodiscard]] std::size_t num_blocks() const { return states.size(); }
};

}  // namespace quire
