#include "engine/weights/safetensors.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

namespace quire::engine {
namespace {

constexpr std::int64_t kLengthBytes = 8;

constexpr std::array<StoredType, 20> kTypes{{
    {"BOOL", 8, std::nullopt},      {"F4", 4, std::nullopt},      {"F6_E2M3", 6, std::nullopt},
    {"F6_E3M2", 6, std::nullopt},   {"U8", 8, std::nullopt},      {"I8", 8, std::nullopt},
    {"F8_E5M2", 8, std::nullopt},   {"F8_E4M3", 8, std::nullopt}, {"F8_E8M0", 8, std::nullopt},
    {"I16", 16, std::nullopt},      {"U16", 16, std::nullopt},    {"F16", 16, DType::kFloat16},
    {"BF16", 16, DType::kBFloat16}, {"I32", 32, std::nullopt},    {"U32", 32, std::nullopt},
    {"F32", 32, DType::kFloat32},   {"F64", 64, std::nullopt},    {"C64", 64, std::nullopt},
    {"I64", 64, std::nullopt},      {"U64", 64, std::nullopt},
}};

const StoredType* find_type(std::string_view name) {
  for (const StoredType& type : kTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

Error header_error(std::string message) {
  return {ErrorCode::kInvalidRequest, std::move(message), "header"};
}

Error tensor_error(const SafetensorsEntry& entry, std::string message) {
  return {ErrorCode::kInvalidRequest, std::move(message), "tensor " + printable_name(entry.name)};
}

// Receives the header's JSON as events. The format has exactly three levels, so that a state says
// everything about where the reader is; what does not fit ends the parse.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<SafetensorsEntry> entries;
  std::optional<Error> error;

  bool null() override {
    if (state_ != State::kMetadata) return unexpected();
    state_ = State::kTop;  // "__metadata__": null, as some writers have it
    return true;
  }
  bool boolean(bool) override { return unexpected(); }
  bool number_integer(number_integer_t) override { return unexpected(); }  // negative
  bool number_float(number_float_t, const string_t&) override { return unexpected(); }
  bool binary(binary_t&) override { return unexpected(); }

  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return fail("a number is too large");
    }
    const auto number = static_cast<std::int64_t>(value);
    if (state_ == State::kShapeItems) return add_dimension(number);
    if (state_ == State::kOffsetItems) return add_offset(number);
    return unexpected();
  }

  bool string(string_t& value) override {
    if (state_ == State::kMetadataValue) {
      state_ = State::kMetadataKeys;
      return true;
    }
    if (state_ != State::kDType) return unexpected();
    current().type = find_type(value);
    if (current().type == nullptr) return fail("dtype is unknown");
    state_ = State::kTensorKeys;
    return true;
  }

  bool start_object(std::size_t) override {
    switch (state_) {
      case State::kStart:
        state_ = State::kTop;
        return true;
      case State::kTensor:
        state_ = State::kTensorKeys;
        return true;
      case State::kMetadata:
        state_ = State::kMetadataKeys;
        return true;
      default:
        return unexpected();
    }
  }

  bool key(string_t& name) override {
    if (state_ == State::kTop) return start_tensor(name);
    if (state_ == State::kTensorKeys) return start_field(name);
    state_ = State::kMetadataValue;
    return true;
  }

  bool end_object() override {
    switch (state_) {
      case State::kTensorKeys:
        if (fields_ != (kHasDType | kHasShape | kHasOffsets)) {
          return fail("needs dtype, shape and data_offsets");
        }
        state_ = State::kTop;
        return true;
      case State::kMetadataKeys:
        state_ = State::kTop;
        return true;
      default:  // kTop: the end of the header
        in_tensor_ = false;
        state_ = State::kDone;
        return true;
    }
  }

  bool start_array(std::size_t) override {
    if (state_ == State::kShape) {
      state_ = State::kShapeItems;
    } else if (state_ == State::kOffsets) {
      state_ = State::kOffsetItems;
    } else {
      return unexpected();
    }
    return true;
  }

  bool end_array() override {
    if (state_ == State::kOffsetItems && num_offsets_ != 2) {
      return fail("data_offsets must have two numbers");
    }
    state_ = State::kTensorKeys;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    in_tensor_ = false;
    return fail("is not valid JSON at byte " + std::to_string(position));
  }

 private:
  enum class State {
    kStart,
    kTop,            // between tensors
    kTensor,         // a tensor's object is due
    kTensorKeys,     // inside it
    kDType,          // one of its values is due
    kShape,          //
    kShapeItems,     //
    kOffsets,        //
    kOffsetItems,    //
    kMetadata,       // the metadata object is due
    kMetadataKeys,   // inside it
    kMetadataValue,  //
    kDone,
  };
  static constexpr unsigned kHasDType = 1;
  static constexpr unsigned kHasShape = 2;
  static constexpr unsigned kHasOffsets = 4;

  SafetensorsEntry& current() { return entries.back(); }

  bool start_tensor(const std::string& name) {
    in_tensor_ = name != "__metadata__";
    if (!in_tensor_) {
      if (seen_metadata_) return fail("__metadata__ is there twice");
      seen_metadata_ = true;
      state_ = State::kMetadata;
      return true;
    }
    entries.push_back({.name = name});
    fields_ = 0;
    num_offsets_ = 0;
    state_ = State::kTensor;
    return true;
  }

  bool start_field(const std::string& name) {
    unsigned field = 0;
    if (name == "dtype") {
      field = kHasDType;
      state_ = State::kDType;
    } else if (name == "shape") {
      field = kHasShape;
      state_ = State::kShape;
    } else if (name == "data_offsets") {
      field = kHasOffsets;
      state_ = State::kOffsets;
    } else {
      return fail("has a field other than dtype, shape and data_offsets");
    }
    if ((fields_ & field) != 0) return fail("has a field twice");
    fields_ |= field;
    return true;
  }

  bool add_dimension(std::int64_t size) {
    if (current().rank == kMaxTensorRank) return fail("shape has more than 8 dimensions");
    current().shape[static_cast<std::size_t>(current().rank++)] = size;
    return true;
  }

  bool add_offset(std::int64_t offset) {
    if (num_offsets_ == 2) return fail("data_offsets must have two numbers");
    (num_offsets_++ == 0 ? current().begin : current().end) = offset;
    return true;
  }

  bool unexpected() { return fail("has a value of the wrong kind"); }

  bool fail(std::string message) {
    error =
        in_tensor_ ? tensor_error(current(), std::move(message)) : header_error(std::move(message));
    return false;
  }

  State state_ = State::kStart;
  bool in_tensor_ = false;
  bool seen_metadata_ = false;
  unsigned fields_ = 0;
  int num_offsets_ = 0;
};

// The bytes that a tensor's shape and dtype ask for; nothing where that overflows or is no whole
// number of bytes.
std::optional<std::int64_t> expected_bytes(const SafetensorsEntry& entry) {
  std::int64_t bits = entry.type->bits;
  for (int i = 0; i < entry.rank; ++i) {
    if (__builtin_mul_overflow(bits, entry.shape[static_cast<std::size_t>(i)], &bits)) return {};
  }
  if (bits % 8 != 0) return {};
  return bits / 8;
}

// Sorts by place and checks rule 4; offsets become positions in the file.
std::optional<Error> place(std::vector<SafetensorsEntry>& entries, std::int64_t data_begin,
                           std::int64_t data_bytes) {
  std::sort(entries.begin(), entries.end(),
            [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
              return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
            });
  std::int64_t next = 0;
  for (SafetensorsEntry& entry : entries) {
    if (entry.begin < next) return tensor_error(entry, "data_offsets overlap another tensor's");
    if (entry.begin > next) return tensor_error(entry, "data_offsets leave a hole before it");
    if (entry.end < entry.begin) return tensor_error(entry, "data_offsets end before they begin");
    if (entry.end > data_bytes) {
      return tensor_error(entry, "data_offsets reach past the end of the file (truncated?)");
    }
    if (expected_bytes(entry) != entry.end - entry.begin) {
      return tensor_error(entry, "data_offsets do not fit its shape and dtype");
    }
    next = entry.end;
    entry.begin += data_begin;
    entry.end += data_begin;
  }
  if (next != data_bytes) return header_error("does not account for the last bytes of the file");
  return std::nullopt;
}

std::optional<Error> check_unique(const std::vector<SafetensorsEntry>& entries) {
  std::vector<const SafetensorsEntry*> by_name;
  by_name.reserve(entries.size());
  for (const SafetensorsEntry& entry : entries) by_name.push_back(&entry);
  std::sort(by_name.begin(), by_name.end(),
            [](const auto* a, const auto* b) { return a->name < b->name; });
  for (std::size_t i = 1; i < by_name.size(); ++i) {
    if (by_name[i - 1]->name == by_name[i]->name) {
      return tensor_error(*by_name[i], "name is there twice");
    }
  }
  return std::nullopt;
}

}  // namespace

std::string printable_name(std::string_view name) {
  constexpr std::size_t kLongest = 128;
  std::string text(name.substr(0, kLongest));
  for (char& c : text) {
    if (c < 0x20 || c == 0x7f) c = '?';  // bytes from 0x80 on are negative: '?', too
  }
  return text;
}

Result<std::vector<SafetensorsEntry>> parse_safetensors(std::span<const std::byte> file) {
  const auto file_bytes = static_cast<std::int64_t>(file.size());
  if (file_bytes < kLengthBytes) return header_error("is shorter than its length field");
  std::uint64_t length = 0;
  for (int i = 0; i < kLengthBytes; ++i) {
    length |= std::to_integer<std::uint64_t>(file[static_cast<std::size_t>(i)]) << (8 * i);
  }
  if (length > static_cast<std::uint64_t>(kMaxHeaderBytes)) {
    return header_error("is longer than 16 MiB");
  }
  const std::int64_t data_begin = kLengthBytes + static_cast<std::int64_t>(length);
  if (data_begin > file_bytes) return header_error("reaches past the end of the file (truncated?)");

  const auto* begin = reinterpret_cast<const char*>(file.data()) + kLengthBytes;
  if (length == 0 || *begin != '{') return header_error("does not start with '{'");
  HeaderReader reader;
  const bool parsed = nlohmann::json::sax_parse(begin, begin + length, &reader);
  if (reader.error) return *reader.error;
  CHECK(parsed);

  if (auto error = check_unique(reader.entries)) return *error;
  if (auto error = place(reader.entries, data_begin, file_bytes - data_begin)) return *error;
  return std::move(reader.entries);
}

}  // namespace quire::engine
