#pragma once
// What GET /pages says, from a PageSnapshot: numbers and a few fixed words, no user text.
//
// Pure functions. Blocks in a row that are in the same state are written as a run: a letter of
// PageState, and how many where it is more than one ("r3fc12": three running, one free, twelve
// cached).

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "proto/page_snapshot.h"

namespace quire::proto {

// Requests that an event names at most: more are counted, not listed.
inline constexpr std::size_t kMaxEventRequests = 256;

void append_runs(std::string& out, std::span<const PageState> states);

// Every block; neighbours that are alike in everything are one entry with a `count`.
[[nodiscard]] std::string pages_body(const PageSnapshot& snapshot);
// The blocks that a request holds, as [first, count] runs in the order of its tables; nullopt where
// there is no such request.
[[nodiscard]] std::optional<std::string> request_pages_body(const PageSnapshot& snapshot,
                                                            SequenceId id);
// One block and the requests that hold it; nullopt where there is no such block.
[[nodiscard]] std::optional<std::string> block_body(const PageSnapshot& snapshot,
                                                    std::int64_t block);

// An event of the stream: what changed since `before`, or, where that is null, everything. `stats`
// is a JSON object that is told along.
[[nodiscard]] std::string page_event(const PageSnapshot* before, const PageSnapshot& now,
                                     std::uint64_t version, std::string_view stats);

}  // namespace quire::proto
