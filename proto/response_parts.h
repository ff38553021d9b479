#pragma once
// What the answers of both endpoints share. Inside this room only; pure functions.

#include <span>
#include <string_view>

#include "proto/json_writer.h"
#include "proto/openai.h"

namespace quire::proto {

// id, object, created, model, system_fingerprint.
void write_head(JsonWriter& out, const ResponseHead& head, std::string_view object);
// usage as the mode says, and the seed.
void write_tail(JsonWriter& out, const ResponseHead& head, ChunkUsage mode, const Usage& usage);
void write_finish(JsonWriter& out, FinishReason finish);
// How the choice ended: finish_reason, and why where it did.
void write_end(JsonWriter& out, const Choice& choice);
// Bytes to reserve.
[[nodiscard]] std::size_t expected_size(const ResponseHead& head, std::span<const Choice> choices);

}  // namespace quire::proto
