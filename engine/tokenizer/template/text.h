#pragma once
// Text: an immutable string of a template run that knows, byte for byte, where it comes from.
// TextBuilder: the one way to make one.
//
// Values; copies share their bytes. Not synchronized: a run is one thread's.
// 1. Every operation keeps the origin of the bytes that it takes over; nothing but the template's
//    literals, the tokenizer's names of special tokens and usual roles has the origin kTemplate.
// 2. Bytes are valid UTF-8 as long as what is added is; positions are bytes.
// Cost: a Text of one origin holds no list of runs; slices and concatenations copy.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/text_origin.h"

namespace quire::engine::jinja {

class Text final {
 public:
  Text() = default;
  Text(std::string bytes, TextOrigin origin);

  [[nodiscard]] std::string_view bytes() const {
    return data_ == nullptr ? std::string_view() : std::string_view(data_->bytes);
  }
  [[nodiscard]] bool empty() const { return bytes().empty(); }
  [[nodiscard]] std::size_t size() const { return bytes().size(); }
  [[nodiscard]] bool is_foreign() const;
  [[nodiscard]] std::vector<TextRun> runs() const;

  [[nodiscard]] Text slice(std::size_t begin, std::size_t end) const;

  // Made by the filter `safe`: jinja2 escapes what is added to it.
  [[nodiscard]] bool is_markup() const { return markup_; }
  [[nodiscard]] Text as_markup(bool markup) const;

 private:
  friend class TextBuilder;
  struct Data {
    std::string bytes;
    std::vector<TextRun> runs;  // empty: all of `origin`
    TextOrigin origin = TextOrigin::kForeign;
  };
  explicit Text(std::shared_ptr<const Data> data) : data_(std::move(data)) {}

  std::shared_ptr<const Data> data_;  // null: empty
  bool markup_ = false;
};

class TextBuilder final {
 public:
  void add(std::string_view bytes, TextOrigin origin);
  void add(const Text& text) { add(text, 0, text.size()); }
  void add(const Text& text, std::size_t begin, std::size_t end);
  // Bytes that stand for text[position]: as trusted as that byte is.
  void add_like(std::string_view bytes, const Text& text, std::size_t position);

  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] Text take();

 private:
  std::string bytes_;
  std::vector<TextRun> runs_;
};

}  // namespace quire::engine::jinja
