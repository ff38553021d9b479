#include "engine/tokenizer/template/text.h"

#include <algorithm>
#include <utility>

#include "proto/check.h"

namespace quire::engine::jinja {

Text::Text(std::string bytes, TextOrigin origin) {
  if (bytes.empty()) return;
  auto data = std::make_shared<Data>();
  data->bytes = std::move(bytes);
  data->origin = origin;
  data_ = std::move(data);
}

bool Text::is_foreign() const {
  return data_ == nullptr || (data_->runs.empty() && data_->origin == TextOrigin::kForeign);
}

std::vector<TextRun> Text::runs() const {
  if (data_ == nullptr) return {};
  if (data_->runs.empty()) return {{size(), data_->origin}};
  return data_->runs;
}

Text Text::slice(std::size_t begin, std::size_t end) const {
  if (begin == 0 && end == size()) return *this;
  TextBuilder builder;
  builder.add(*this, begin, end);
  return builder.take().as_markup(markup_);
}

Text Text::as_markup(bool markup) const {
  Text copy = *this;
  copy.markup_ = markup;
  return copy;
}

void TextBuilder::add(std::string_view bytes, TextOrigin origin) {
  if (bytes.empty()) return;
  bytes_ += bytes;
  if (!runs_.empty() && runs_.back().origin == origin) {
    runs_.back().end = bytes_.size();
  } else {
    runs_.push_back({bytes_.size(), origin});
  }
}

void TextBuilder::add(const Text& text, std::size_t begin, std::size_t end) {
  if (begin >= end) return;
  CHECK_LE(end, text.size());
  const Text::Data& data = *text.data_;
  if (data.runs.empty()) return add(text.bytes().substr(begin, end - begin), data.origin);
  auto run = std::ranges::upper_bound(data.runs, begin, {}, &TextRun::end);
  for (; begin < end; ++run) {
    const std::size_t stop = std::min(end, run->end);
    add(text.bytes().substr(begin, stop - begin), run->origin);
    begin = stop;
  }
}

void TextBuilder::add_like(std::string_view bytes, const Text& text, std::size_t position) {
  const Text::Data& data = *text.data_;
  if (data.runs.empty()) return add(bytes, data.origin);
  add(bytes, std::ranges::upper_bound(data.runs, position, {}, &TextRun::end)->origin);
}

Text TextBuilder::take() {
  if (bytes_.empty()) return {};
  auto data = std::make_shared<Text::Data>();
  data->bytes = std::exchange(bytes_, {});
  data->origin = runs_.front().origin;
  if (runs_.size() > 1) data->runs = std::move(runs_);
  runs_.clear();
  return Text(std::shared_ptr<const Text::Data>(std::move(data)));
}

}  // namespace quire::engine::jinja
