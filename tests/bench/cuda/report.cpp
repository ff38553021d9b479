#include "tests/bench/cuda/report.h"

#include <cstdio>
#include <string_view>

namespace quire::engine::bench {

namespace {

constexpr const char* kNames[] = {"", "copy", "product", "bus out", "bus in"};

std::string percent(double share, const std::string& of) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", share * 100.0);
  return of.empty() ? text : text + (" of " + of);
}

double scale_of(std::string_view unit) {
  if (unit == "TFLOP/s") return 1e12;
  return unit == "GB/s" ? 1e9 : 1.0;
}

void print(const std::string& name, const std::string& time, const std::string& figure,
           const std::string& share, const std::string& other, const std::string& due) {
  std::printf("| %-52s | %13s | %16s | %-18s | %-21s | %-28s |\n", name.c_str(), time.c_str(),
              figure.c_str(), share.c_str(), other.c_str(), due.c_str());
  std::fflush(stdout);
}

}  // namespace

Report::Report(const std::string& path) : path_(path) {
  if (path_.empty()) return;
  if (std::FILE* file = std::fopen(path_.c_str(), "w")) std::fclose(file);
}

void Report::head() const {
  print("what", "time", "figure", "of the ceiling", "beside", "due");
  print("---", "---", "---", "---", "---", "---");
}

void Report::add(const Row& row) {
  const double rate = row.amount / row.seconds;
  char time[32];
  char figure[32];
  std::snprintf(time, sizeof time, "%.1f us", row.seconds * 1e6);
  std::snprintf(figure, sizeof figure, "%.1f %s", rate / scale_of(row.unit), row.unit);
  const double top = ceiling(row.ceiling);
  const double share = top > 0.0 ? rate / top : 0.0;
  const double beside = row.other != nullptr ? row.other_seconds / row.seconds : 0.0;
  const double held = row.other != nullptr ? beside : share;
  const std::string of = row.other != nullptr ? row.other : kNames[index(row.ceiling)];
  std::string due;
  if (row.due > 0.0) {
    due = percent(row.due, of);
    if (held > 0.0) due += held >= row.due ? ": met" : ": SHORT";
  }
  print(row.name, time, figure, share > 0.0 ? percent(share, kNames[index(row.ceiling)]) : "",
        row.other != nullptr ? percent(beside, row.other) : "", due);
  if (path_.empty()) return;
  if (std::FILE* file = std::fopen(path_.c_str(), "a")) {
    std::fprintf(file, "%s\t%.9g\t%.9g\n", row.name.c_str(), row.seconds, rate);
    std::fclose(file);
  }
}

void Report::skip(const std::string& name, const std::string& why) const {
  print(name, "", why, "", "", "");
}

void Report::add_share(const std::string& name, double share, double most) const {
  const std::string due = "below " + percent(most, "") + (share < most ? ": met" : ": SHORT");
  print(name, "", percent(share, ""), "", "", due);
}

}  // namespace quire::engine::bench
