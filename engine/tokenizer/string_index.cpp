#include "engine/tokenizer/string_index.h"

#include <algorithm>
#include <cstring>

#include "proto/check.h"

namespace quire::engine {
namespace {

constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15u;
constexpr std::size_t kFirstSlots = 1024;

// Eight bytes at a time, folded; the strings come from the operator's file or are looked up in it,
// so that a client cannot make the table's chains long.
std::uint32_t hash_of(std::string_view text) {
  std::uint64_t hash = text.size() * kMultiplier;
  while (!text.empty()) {
    std::uint64_t word = 0;
    const std::size_t length = std::min<std::size_t>(text.size(), sizeof(word));
    std::memcpy(&word, text.data(), length);
    hash = (hash ^ word) * kMultiplier;
    hash ^= hash >> 32;
    text.remove_prefix(length);
  }
  return static_cast<std::uint32_t>(hash);
}

}  // namespace

StringIndex::StringIndex() : slots_(kFirstSlots) {}

StringIndex::Entry StringIndex::entry(std::size_t index) const {
  const Record& record = records_[index];
  return {std::string_view(arena_).substr(record.offset, record.length), record.id};
}

std::size_t StringIndex::locate(std::string_view text, std::uint32_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = hash & mask;; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.record == kEmpty) return i;
    if (slot.hash == hash && entry(slot.record).text == text) return i;
  }
}

bool StringIndex::add(std::string_view text, TokenId id) {
  CHECK_LT(arena_.size() + text.size(), std::size_t{UINT32_MAX});
  const std::uint32_t hash = hash_of(text);
  const std::size_t where = locate(text, hash);
  if (slots_[where].record != kEmpty) return false;
  slots_[where] = {hash, static_cast<std::uint32_t>(records_.size())};
  records_.push_back(
      {static_cast<std::uint32_t>(arena_.size()), static_cast<std::uint32_t>(text.size()), id});
  arena_.append(text);
  max_length_ = std::max(max_length_, text.size());
  if (records_.size() * 8 > slots_.size() * 5) grow();
  return true;
}

TokenId StringIndex::find(std::string_view text) const {
  if (text.size() > max_length_) return kNoToken;
  const Slot& slot = slots_[locate(text, hash_of(text))];
  return slot.record == kEmpty ? kNoToken : records_[slot.record].id;
}

TokenId StringIndex::find_after(std::string_view text, std::size_t& previous) const {
  const std::size_t guess = previous + 1;
  if (guess < size() && entry(guess).text == text) {
    previous = guess;
    return records_[guess].id;
  }
  const Slot& slot = slots_[locate(text, hash_of(text))];
  if (slot.record == kEmpty) return kNoToken;
  previous = slot.record;
  return records_[slot.record].id;
}

void StringIndex::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  const std::size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.record == kEmpty) continue;
    std::size_t i = slot.hash & mask;
    while (slots_[i].record != kEmpty) i = (i + 1) & mask;
    slots_[i] = slot;
  }
}

}  // namespace quire::engine
