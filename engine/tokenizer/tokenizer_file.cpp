#include "engine/tokenizer/tokenizer_file.h"

#include <nlohmann/json.hpp>
#include <optional>

namespace quire::engine {
namespace {

using nlohmann::json;

// Receives the parser's events. A method that returns false ends the parse.
class FileReader final : public nlohmann::json_sax<json> {
 public:
  FileReader(TokenizerFile& file, std::string_view name) : file_(file), name_(name) {}

  [[nodiscard]] std::optional<Error> take_error() {
    if (!error_ && !has_vocab_) fail("model.vocab: not an object");
    if (!error_ && !has_merges_) fail("model.merges: not an array");
    return std::move(error_);
  }

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(number_integer_t value) override { return scalar(value); }
  bool number_float(number_float_t value, const string_t&) override { return scalar(value); }
  bool binary(binary_t&) override { return fail("binary value"); }

  bool number_unsigned(number_unsigned_t value) override {
    return mode_ == Mode::kVocab ? add_word(value) : scalar(value);
  }
  bool string(string_t& value) override {
    return mode_ == Mode::kTree ? scalar(std::move(value)) : add_merge_text(value);
  }
  bool key(string_t& value) override;
  bool start_object(std::size_t) override;
  bool end_object() override;
  bool start_array(std::size_t) override;
  bool end_array() override;
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return fail("byte " + std::to_string(position) + ": not valid JSON");
  }

 private:
  enum class Mode : std::uint8_t {
    kTree,
    kVocab,      // inside model.vocab
    kMerges,     // inside model.merges
    kMergePair,  // inside one [left, right] of it
  };

  bool fail(const std::string& what) {
    if (!error_) error_ = Error{ErrorCode::kInvalidRequest, name_ + ": " + what, name_};
    return false;
  }

  // Puts a value where the parser stands; null if it may not be there.
  json* place(json value);
  bool scalar(json value) { return place(std::move(value)) != nullptr; }
  bool open(json container);
  bool add_word(std::uint64_t id);
  bool add_merge_text(const std::string& text);
  [[nodiscard]] bool in_model() const { return stack_.size() == 2 && in_model_; }

  TokenizerFile& file_;
  std::string name_;
  std::optional<Error> error_;
  Mode mode_ = Mode::kTree;
  std::vector<json*> stack_;  // the open containers of the tree
  std::string key_;           // of the value that comes next
  std::size_t num_nodes_ = 0;
  bool in_model_ = false;
  bool has_vocab_ = false;
  bool has_merges_ = false;
  std::vector<bool> id_used_;
  std::string left_;  // of a merge pair
  std::size_t pair_size_ = 0;
};

json* FileReader::place(json value) {
  if (mode_ == Mode::kVocab) {
    fail("model.vocab: an id is not an integer of 0 or more");
  } else if (mode_ != Mode::kTree) {
    fail("model.merges: not a string or a pair of strings");
  } else if (++num_nodes_ > kMaxTreeNodes) {
    fail("too many values outside model.vocab and model.merges");
  } else if (stack_.empty() && !value.is_object()) {
    fail("not a JSON object");
  } else if (stack_.empty()) {
    *file_.rest = std::move(value);
    return file_.rest.get();
  } else if (stack_.back()->is_array()) {
    return &stack_.back()->emplace_back(std::move(value));
  } else {
    return &((*stack_.back())[key_] = std::move(value));
  }
  return nullptr;
}

bool FileReader::open(json container) {
  if (stack_.size() == kMaxDepth) return fail("nested too deep");
  json* placed = place(std::move(container));
  if (placed != nullptr) stack_.push_back(placed);
  return placed != nullptr;
}

bool FileReader::key(string_t& value) {
  key_ = std::move(value);
  if (mode_ != Mode::kTree) return true;
  const bool again = stack_.back()->contains(key_) ||
                     (in_model() && has_vocab_ && key_ == "vocab") ||
                     (in_model() && has_merges_ && key_ == "merges");
  return !again || fail("a key appears twice");
}

bool FileReader::start_object(std::size_t) {
  if (mode_ == Mode::kTree && in_model() && key_ == "vocab") {
    mode_ = Mode::kVocab;
    has_vocab_ = true;
    return true;
  }
  if (stack_.size() == 1 && key_ == "model") in_model_ = true;
  return open(json::object());
}

bool FileReader::end_object() {
  if (mode_ == Mode::kVocab) {
    mode_ = Mode::kTree;
    return true;
  }
  stack_.pop_back();
  if (stack_.size() == 1) in_model_ = false;
  return true;
}

bool FileReader::start_array(std::size_t) {
  if (mode_ == Mode::kMerges) {
    mode_ = Mode::kMergePair;
    pair_size_ = 0;
    return true;
  }
  if (mode_ == Mode::kTree && in_model() && key_ == "merges") {
    mode_ = Mode::kMerges;
    has_merges_ = true;
    return true;
  }
  return open(json::array());
}

bool FileReader::end_array() {
  if (mode_ == Mode::kMergePair) {
    mode_ = Mode::kMerges;
    return pair_size_ == 2 || fail("model.merges: a pair does not have two strings");
  }
  if (mode_ == Mode::kMerges) {
    mode_ = Mode::kTree;
    return true;
  }
  stack_.pop_back();
  return true;
}

bool FileReader::add_word(std::uint64_t id) {
  if (id >= static_cast<std::uint64_t>(kMaxVocabSize))
    return fail("model.vocab: an id is above " + std::to_string(kMaxVocabSize - 1));
  if (id >= id_used_.size()) id_used_.resize(std::max<std::size_t>(id + 1, id_used_.size() * 2));
  if (id_used_[id]) return fail("model.vocab: id " + std::to_string(id) + " appears twice");
  id_used_[id] = true;
  return file_.vocab.add(key_, static_cast<TokenId>(id)) ||
         fail("model.vocab: a word appears twice");
}

bool FileReader::add_merge_text(const std::string& text) {
  if (mode_ == Mode::kVocab) return fail("model.vocab: an id is not an integer of 0 or more");
  if (file_.merges.size() >= kMaxMerges) return fail("model.merges: too many");
  if (mode_ == Mode::kMergePair) {
    if (++pair_size_ == 1) left_ = text;
    if (pair_size_ == 2) file_.merges.add(left_, text);
    return true;
  }
  if (text.starts_with("#version")) return true;
  const std::size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
    return fail("model.merges: a merge is not two words with a space between");
  const std::string_view view = text;
  file_.merges.add(view.substr(0, space), view.substr(space + 1));
  return true;
}

}  // namespace

void MergeList::add(std::string_view left, std::string_view right) {
  arena_.append(left);
  ends_.push_back(static_cast<std::uint32_t>(arena_.size()));
  arena_.append(right);
  ends_.push_back(static_cast<std::uint32_t>(arena_.size()));
}

MergeList::Pair MergeList::operator[](std::size_t index) const {
  const std::size_t begin = index == 0 ? 0 : ends_[index * 2 - 1];
  const std::size_t middle = ends_[index * 2];
  const std::string_view arena = arena_;
  return {arena.substr(begin, middle - begin), arena.substr(middle, ends_[index * 2 + 1] - middle)};
}

TokenizerFile::TokenizerFile() : rest(std::make_unique<json>()) {}
TokenizerFile::~TokenizerFile() = default;
TokenizerFile::TokenizerFile(TokenizerFile&&) noexcept = default;
TokenizerFile& TokenizerFile::operator=(TokenizerFile&&) noexcept = default;

Result<TokenizerFile> read_tokenizer_json(std::string_view text, std::string_view name) {
  if (text.size() > kMaxTokenizerFileBytes)
    return Error{ErrorCode::kInvalidRequest, std::string(name) + ": larger than 256 MiB",
                 std::string(name)};
  TokenizerFile file;
  FileReader reader(file, name);
  json::sax_parse(text.begin(), text.end(), &reader);
  if (std::optional<Error> error = reader.take_error()) return *std::move(error);
  return file;
}

}  // namespace quire::engine
