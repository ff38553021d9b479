#pragma once
// A line chart as inline SVG. Colours are the page's (CSS variables --s0, --s1, ...), so that a
// chart follows light and dark. Pure functions. Names are escaped here.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quire::server {

struct ChartSeries {
  std::string name{};
  std::vector<std::pair<double, double>> points{};  // ascending in x
  bool filled = false;
  bool dots = false;
};

struct ChartTick {
  double at;
  std::string text;
};

struct Chart {
  std::string title{};
  std::string x_label{}, y_label{};
  std::vector<ChartSeries> series{};
  std::vector<ChartTick> x_ticks{};  // none: chosen by the data
  double limit = 0;                  // a dashed line at this y; 0: none
};

[[nodiscard]] std::string chart_svg(const Chart& chart);

[[nodiscard]] std::string escape_html(std::string_view text);
// Short and readable: "0.25", "12.5", "1,300", "25k".
[[nodiscard]] std::string number_text(double value);
// 0 to at least `most`, in about `wanted` even steps of 1, 2 or 5 times a power of ten.
[[nodiscard]] std::vector<double> even_ticks(double most, int wanted);

}  // namespace quire::server
