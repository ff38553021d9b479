#include "server/commands/bench_chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace quire::server {
namespace {

// The drawing's own units; the page scales it.
constexpr double kWidth = 560, kHeight = 250;
constexpr double kLeft = 58, kRight = 26, kTop = 12, kBottom = 42;
constexpr int kTicks = 5;

template <typename... Values>
std::string format(const char* pattern, Values... values) {
  std::array<char, 256> text;
  const int size = std::snprintf(text.data(), text.size(), pattern, values...);
  return {text.data(), static_cast<std::size_t>(std::clamp(size, 0, 255))};
}

// From values to places in the drawing.
struct Frame {
  double x_most = 1, y_most = 1;
  [[nodiscard]] double x(double value) const {
    return kLeft + (kWidth - kLeft - kRight) * value / x_most;
  }
  [[nodiscard]] double y(double value) const {
    return kHeight - kBottom - (kHeight - kTop - kBottom) * std::min(value / y_most, 1.0);
  }
};

Frame frame_of(const Chart& chart) {
  double x_most = 0, y_most = chart.limit * 1.1;
  for (const ChartSeries& series : chart.series) {
    for (const auto& [x, y] : series.points) {
      x_most = std::max(x_most, x);
      y_most = std::max(y_most, y);
    }
  }
  for (const ChartTick& tick : chart.x_ticks) x_most = std::max(x_most, tick.at);
  return {.x_most = x_most > 0 ? x_most : 1, .y_most = even_ticks(y_most, kTicks).back()};
}

std::string axes(const Chart& chart, const Frame& frame) {
  std::string svg;
  for (const double value : even_ticks(frame.y_most, kTicks)) {
    const double y = frame.y(value);
    svg += format("<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", kLeft,
                  kWidth - kRight, y, y);
    svg += format("<text class=\"tick\" text-anchor=\"end\" x=\"%.1f\" y=\"%.1f\">%s</text>",
                  kLeft - 6, y + 3.5, number_text(value).c_str());
  }
  std::vector<ChartTick> ticks = chart.x_ticks;
  if (ticks.empty()) {
    for (const double value : even_ticks(frame.x_most, kTicks)) {
      if (value <= frame.x_most) ticks.push_back({value, number_text(value)});
    }
  }
  for (const ChartTick& tick : ticks) {
    svg += format("<text class=\"tick\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">%s</text>",
                  frame.x(tick.at), kHeight - kBottom + 16, tick.text.c_str());
  }
  svg += format("<text class=\"label\" text-anchor=\"end\" x=\"%.1f\" y=\"%.1f\">%s</text>",
                kWidth - kRight, kHeight - 6, escape_html(chart.x_label).c_str());
  return svg;
}

std::string path_of(const ChartSeries& series, const Frame& frame) {
  std::string path;
  for (const auto& [x, y] : series.points) {
    path += format("%c%.1f %.1f", path.empty() ? 'M' : 'L', frame.x(x), frame.y(y));
  }
  return path;
}

std::string drawn(const ChartSeries& series, std::size_t number, const Frame& frame) {
  if (series.points.empty()) return {};
  const std::string path = path_of(series, frame);
  std::string svg;
  if (series.filled) {
    svg += format("<path class=\"area f%zu\" d=\"", number) + path;
    svg += format("L%.1f %.1fL%.1f %.1fZ\"/>", frame.x(series.points.back().first), frame.y(0),
                  frame.x(series.points.front().first), frame.y(0));
  }
  svg += format("<path class=\"line l%zu\" d=\"", number) + path + "\"/>";
  for (const auto& [x, y] : series.points) {
    if (!series.dots) break;
    svg += format("<circle class=\"f%zu\" r=\"3.5\" cx=\"%.1f\" cy=\"%.1f\"><title>%s: %s</title>",
                  number, frame.x(x), frame.y(y), number_text(x).c_str(), number_text(y).c_str());
    svg += "</circle>";
  }
  return svg;
}

std::string legend(const Chart& chart) {
  if (chart.series.size() < 2 && chart.limit == 0) return {};
  std::string html = "<p class=\"legend\">";
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    html +=
        format("<span><i class=\"b%zu\"></i>", i) + escape_html(chart.series[i].name) + "</span>";
  }
  if (chart.limit > 0) html += "<span><i class=\"dash\"></i>limit</span>";
  return html + "</p>";
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string number_text(double value) {
  if (value >= 1e6) return format("%.3gM", value / 1e6);
  if (value >= 1e4) return format("%.3gk", value / 1e3);
  if (value >= 1e3)
    return format("%d,%03d", static_cast<int>(value) / 1000, static_cast<int>(value) % 1000);
  return format("%.3g", value);
}

std::vector<double> even_ticks(double most, int wanted) {
  if (!(most > 0)) return {0, 1};
  const double rough = most / wanted;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * (1 - 1e-9)) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> ticks;
  const int count = static_cast<int>(std::ceil(most / step * (1 - 1e-9)));
  for (int i = 0; i <= count; ++i) ticks.push_back(step * i);
  return ticks;
}

std::string chart_svg(const Chart& chart) {
  const Frame frame = frame_of(chart);
  std::string html = "<figure><figcaption>" + escape_html(chart.title) + " <small>" +
                     escape_html(chart.y_label) + "</small></figcaption>" + legend(chart);
  html += format("<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", kWidth, kHeight);
  html += escape_html(chart.title) + "\">" + axes(chart, frame);
  for (std::size_t i = 0; i < chart.series.size(); ++i) html += drawn(chart.series[i], i, frame);
  if (chart.limit > 0) {
    html += format("<line class=\"limit\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", kLeft,
                   kWidth - kRight, frame.y(chart.limit), frame.y(chart.limit));
  }
  return html + "</svg></figure>\n";
}

}  // namespace quire::server
