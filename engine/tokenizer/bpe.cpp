#include "engine/tokenizer/bpe.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "engine/tokenizer/utf8.h"
#include "proto/check.h"

namespace quire::engine {
namespace {

// Up to this many symbols a scan for the lowest rank beats the queue.
constexpr std::size_t kMaxShort = 48;
constexpr std::uint32_t kEnd = UINT32_MAX;

bool stands_for_itself(std::uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct ByteAlphabet {
  std::array<char32_t, 256> character;
  std::array<std::int16_t, 0x144> byte;  // by character; -1: none
};

const ByteAlphabet& byte_alphabet() {
  static const ByteAlphabet alphabet = [] {
    ByteAlphabet result = {};
    result.byte.fill(-1);
    char32_t next = 0x100;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const char32_t character = stands_for_itself(byte) ? byte : next++;
      result.character[byte] = character;
      result.byte[character] = static_cast<std::int16_t>(byte);
    }
    return result;
  }();
  return alphabet;
}

std::string_view first_character(std::string_view text) {
  return text.substr(0, first_code_point(text).length);
}

}  // namespace

char32_t byte_level_character(std::uint8_t byte) { return byte_alphabet().character[byte]; }

int byte_level_byte(char32_t character) {
  const auto& bytes = byte_alphabet().byte;
  return character < bytes.size() ? bytes[character] : -1;
}

// Characters without a token, gathered until one with a token ends the run.
class BpeModel::UnknownRun final {
 public:
  UnknownRun(const BpeModel& model, std::vector<TokenId>& ids) : model_(model), ids_(ids) {}

  void known(TokenId id) {
    flush();
    ids_.push_back(id);
  }

  void unknown(std::string_view character) {
    if (model_.options_.byte_fallback && add_bytes(character)) return;
    if (model_.options_.unk == kNoToken) return;
    if (pending_ && !model_.options_.fuse_unk) ids_.push_back(model_.options_.unk);
    pending_ = true;
  }

  void flush() {
    if (pending_) ids_.push_back(model_.options_.unk);
    pending_ = false;
  }

 private:
  // A pending unk stays pending, and so comes after these bytes: the package does so.
  bool add_bytes(std::string_view character) {
    const auto id_of = [&](char c) { return model_.fallback_ids_[static_cast<std::uint8_t>(c)]; };
    if (!model_.has_all_bytes_ && std::any_of(character.begin(), character.end(),
                                              [&](char c) { return id_of(c) == kNoToken; }))
      return false;
    for (const char c : character) ids_.push_back(id_of(c));
    return true;
  }

  const BpeModel& model_;
  std::vector<TokenId>& ids_;
  bool pending_ = false;
};

BpeModel::BpeModel(StringIndex vocab, MergeTable merges, BpeOptions options,
                   const std::vector<bool>& is_special)
    : vocab_(std::move(vocab)),
      merges_(std::move(merges)),
      options_(options),
      is_special_(is_special) {
  for (std::size_t byte = 0; byte < 256; ++byte) {
    std::string character;
    append_utf8(byte_level_character(static_cast<std::uint8_t>(byte)), character);
    byte_level_ids_[byte] = vocab_.find(character);
    char name[8];
    std::snprintf(name, sizeof(name), "<0x%02X>", static_cast<unsigned>(byte));
    fallback_ids_[byte] = vocab_.find(name);
    const char ascii = static_cast<char>(byte);
    if (byte < 128) ascii_ids_[byte] = vocab_.find({&ascii, 1});
  }
  has_all_bytes_ =
      std::find(fallback_ids_.begin(), fallback_ids_.end(), kNoToken) == fallback_ids_.end();
  for (MergeRank rank = 0; rank < merges_.size(); ++rank)
    if (this->is_special(merges_.merged(rank))) merges_make_specials_ = true;
}

bool BpeModel::is_special(TokenId id) const {
  return static_cast<std::size_t>(id) < is_special_.size() &&
         is_special_[static_cast<std::size_t>(id)];
}

MergeRank BpeModel::rank_of(TokenId left, TokenId right, bool allow_special) const {
  const MergeRank rank = merges_.find(left, right);
  if (rank != kNoMerge && !allow_special && merges_make_specials_ &&
      is_special(merges_.merged(rank)))
    return kNoMerge;
  return rank;
}

void BpeModel::encode(std::string_view piece, Alphabet alphabet, bool allow_special,
                      Scratch& scratch, std::vector<TokenId>& out) const {
  CHECK_LE(piece.size(), std::size_t{1} << 31);
  if (options_.ignore_merges) {
    const TokenId id = whole_piece(piece, alphabet, allow_special, scratch.text);
    if (id != kNoToken) {
      out.push_back(id);
      return;
    }
  }
  scratch.ids.clear();
  if (alphabet == Alphabet::kBytes)
    start_bytes(piece, allow_special, scratch.ids);
  else
    start_characters(piece, allow_special, scratch.ids);
  if (scratch.ids.size() <= kMaxShort)
    merge_short(allow_special, scratch.ids);
  else
    merge_long(allow_special, scratch);
  out.insert(out.end(), scratch.ids.begin(), scratch.ids.end());
}

TokenId BpeModel::whole_piece(std::string_view piece, Alphabet alphabet, bool allow_special,
                              std::string& scratch) const {
  if (piece.size() > vocab_.max_length()) return kNoToken;
  if (alphabet == Alphabet::kBytes) {
    scratch.clear();
    for (const char byte : piece)
      append_utf8(byte_level_character(static_cast<std::uint8_t>(byte)), scratch);
    piece = scratch;
  }
  const TokenId id = vocab_.find(piece);
  return id != kNoToken && !allow_special && is_special(id) ? kNoToken : id;
}

void BpeModel::start_bytes(std::string_view piece, bool allow_special,
                           std::vector<TokenId>& ids) const {
  UnknownRun run(*this, ids);
  for (const char c : piece) {
    const auto byte = static_cast<std::uint8_t>(c);
    const TokenId id = byte_level_ids_[byte];
    if (id != kNoToken && (allow_special || !is_special(id))) {
      run.known(id);
      continue;
    }
    std::string character;
    append_utf8(byte_level_character(byte), character);
    run.unknown(character);
  }
  run.flush();
}

TokenId BpeModel::find_character(std::string_view character) const {
  if (character.size() == 1) return ascii_ids_[static_cast<std::uint8_t>(character[0])];
  return vocab_.find(character);
}

void BpeModel::start_characters(std::string_view piece, bool allow_special,
                                std::vector<TokenId>& ids) const {
  UnknownRun run(*this, ids);
  while (!piece.empty()) {
    const std::string_view character = first_character(piece);
    piece.remove_prefix(character.size());
    const TokenId id = find_character(character);
    if (id != kNoToken && (allow_special || !is_special(id)))
      run.known(id);
    else
      run.unknown(character);
  }
  run.flush();
}

// Scans for the lowest rank and closes the gap; ranks[i] is that of symbols i and i + 1.
void BpeModel::merge_short(bool allow_special, std::vector<TokenId>& ids) const {
  std::size_t count = ids.size();
  if (count < 2) return;
  std::array<MergeRank, kMaxShort> ranks;
  for (std::size_t i = 0; i + 1 < count; ++i) ranks[i] = rank_of(ids[i], ids[i + 1], allow_special);
  while (count > 1) {
    const MergeRank* const end = ranks.data() + count - 1;
    const MergeRank* const lowest = std::min_element(std::as_const(ranks).data(), end);
    if (*lowest == kNoMerge) break;
    const auto i = static_cast<std::size_t>(lowest - ranks.data());
    ids[i] = merges_.merged(*lowest);
    std::copy(ids.begin() + static_cast<std::ptrdiff_t>(i) + 2,
              ids.begin() + static_cast<std::ptrdiff_t>(count),
              ids.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    std::copy(ranks.data() + i + 1, ranks.data() + count - 1, ranks.data() + i);
    --count;
    if (i > 0) ranks[i - 1] = rank_of(ids[i - 1], ids[i], allow_special);
    if (i + 1 < count) ranks[i] = rank_of(ids[i], ids[i + 1], allow_special);
  }
  ids.resize(count);
}

void BpeModel::link_symbols(bool allow_special, Scratch& scratch) const {
  const auto count = static_cast<std::uint32_t>(scratch.ids.size());
  scratch.symbols.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const bool last = i + 1 == count;
    const MergeRank rank =
        last ? kNoMerge : rank_of(scratch.ids[i], scratch.ids[i + 1], allow_special);
    scratch.symbols[i] = {scratch.ids[i], i == 0 ? kEnd : i - 1, last ? kEnd : i + 1, rank};
    if (rank != kNoMerge) scratch.queue->push({rank, i});
  }
}

// Symbols in a linked list, merges in a queue. An item is stale if its symbol has since got another
// rank (a merged-away symbol has kNoMerge).
void BpeModel::merge_long(bool allow_special, Scratch& scratch) const {
  if (!scratch.queue) scratch.queue.emplace(merges_.size());
  link_symbols(allow_special, scratch);
  auto& symbols = scratch.symbols;
  const auto update_rank = [&](std::uint32_t i) {
    auto& symbol = symbols[i];
    symbol.rank =
        symbol.next == kEnd ? kNoMerge : rank_of(symbol.id, symbols[symbol.next].id, allow_special);
    if (symbol.rank != kNoMerge) scratch.queue->push({symbol.rank, i});
  };
  MergeQueue::Item item = {};
  while (scratch.queue->pop(item)) {
    auto& symbol = symbols[item.position];
    if (symbol.rank != item.rank) continue;
    auto& right = symbols[symbol.next];
    symbol.id = merges_.merged(item.rank);
    symbol.next = right.next;
    right.rank = kNoMerge;
    if (symbol.next != kEnd) symbols[symbol.next].previous = item.position;
    if (symbol.previous != kEnd) update_rank(symbol.previous);
    update_rank(item.position);
  }
  scratch.ids.clear();
  if (symbols.empty()) return;
  for (std::uint32_t i = 0; i != kEnd; i = symbols[i].next) scratch.ids.push_back(symbols[i].id);
}

}  // namespace quire::engine
