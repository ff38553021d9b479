#pragma once
// Report: the benchmarks' table. A row is a time, the figure it makes, that figure's share of what
// the device can do at all, its share of another library's, and what is due.
//
// The ceilings are measured first, in the same run; until one is, shares of it are left out. Plain
// value, one thread. Nothing here fails a run: what falls short says so in its row.

#include <string>

namespace quire::engine::bench {

// What a figure is held against. Amounts per second: bytes or floating-point operations.
enum class Ceiling { kNone, kCopy, kProduct, kBusOut, kBusIn };

struct Row {
  std::string name;
  double seconds = 0.0;
  double amount = 0.0;        // bytes, operations or tokens, all in `seconds`
  const char* unit = "GB/s";  // GB/s, TFLOP/s or tokens/s
  Ceiling ceiling = Ceiling::kNone;
  double due = 0.0;  // share of the ceiling, or of the other library where `other` is set
  const char* other = nullptr;  // whose seconds these are:
  double other_seconds = 0.0;
};

class Report {
 public:
  // Rows also go to `path`, tab-separated (name, seconds, amount per second), for peers.py. "": no.
  explicit Report(const std::string& path);

  void set_ceiling(Ceiling ceiling, double per_second) { ceilings_[index(ceiling)] = per_second; }
  [[nodiscard]] double ceiling(Ceiling ceiling) const { return ceilings_[index(ceiling)]; }
  void head() const;
  void add(const Row& row);
  // A row that says why there is no figure.
  void skip(const std::string& name, const std::string& why) const;
  // A row of one share of time, due to stay below `most`.
  void add_share(const std::string& name, double share, double most) const;

 private:
  static int index(Ceiling ceiling) { return static_cast<int>(ceiling); }
  std::string path_;
  double ceilings_[5] = {};
};

}  // namespace quire::engine::bench
