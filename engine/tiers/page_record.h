#pragma once
// A page record: the pages of one span of tokens as they lie on disk and in the remote store.
//
//   magic, stamp, key, sizes, digest, check | tokens | pages
//
// `digest` is the SHA-256 of all but itself and the check; `check` is that of the head alone, so
// that a file can be searched by its heads. Bytes are those of the machine (x86-64).
// 1. A record is accepted where all of it is as it was written, and its key and its tokens are
//    those that were asked for; whatever the bytes, nothing outside them is read.
// Pure; allocates nothing.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "cache/page_key.h"

namespace quire::engine {

struct RecordShape {
  std::size_t span_tokens = 0;
  std::size_t page_bytes = 0;  // of all pages of a span

  [[nodiscard]] std::size_t head_bytes() const;  // with the tokens
  [[nodiscard]] std::size_t record_bytes() const { return head_bytes() + page_bytes; }
};

// What a head says of its record.
struct RecordHead {
  std::uint64_t stamp = 0;  // greater: written later
  cache::PageKey key;
  std::span<const TokenId> tokens;
};

// Invariants: the spans are as long as the shape says; out.size() == shape.record_bytes().
void write_record(const RecordShape& shape, const RecordHead& head,
                  std::span<const std::byte> pages, std::span<std::byte> out);

// The head of a record of this shape at the beginning of `bytes`; nullopt where there is none. The
// pages are not looked at. The tokens are a view into `bytes`, which is aligned to 8.
[[nodiscard]] std::optional<RecordHead> read_head(const RecordShape& shape,
                                                  std::span<const std::byte> bytes);

// The pages, where the record is right and of this key and these tokens; else an empty span.
[[nodiscard]] std::span<const std::byte> read_record(const RecordShape& shape,
                                                     const cache::PageKey& key,
                                                     std::span<const TokenId> tokens,
                                                     std::span<const std::byte> bytes);

}  // namespace quire::engine
