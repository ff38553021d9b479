#pragma once
// What the machine can do at best, measured: the yardstick of the benchmarks.
//
// Medians over calls in which no thread of the process was pushed off its core; on a busy machine
// few calls are like that and the figures still wander, so a benchmark measures its roofs beside
// each op.

#include <cstddef>
#include <cstdint>
#include <functional>

#include "engine/backend/cpu/thread_pool.h"

namespace quire::bench {

// Seconds per call: the median of the undisturbed calls within `budget` seconds.
[[nodiscard]] double median_seconds(const std::function<void()>& call, double budget);

// float32 fused multiply-adds in registers, in FLOP/s (two per lane), all threads of the pool. With
// AVX-512 where `wide`, else with AVX2.
[[nodiscard]] double fma_roof(engine::cpu::ThreadPool& pool, bool wide);

// int8 products summed in 32 bits, in registers, in operations per second (a multiplication and an
// addition each), all threads of the pool. With VNNI of 512 bits where `vnni`, else as AVX2 does
// it (vpmaddubsw, vpmaddwd, vpaddd).
[[nodiscard]] double int8_roof(engine::cpu::ThreadPool& pool, bool vnni);
[[nodiscard]] bool has_vnni();

// bfloat16 products on matrix tiles (AMX, which the backend has asked for), in FLOP/s, all threads
// of the pool.
[[nodiscard]] double tile_roof(engine::cpu::ThreadPool& pool);

// A buffer whose streaming read gives the memory roof for a working set of its size.
class ReadRoof {
 public:
  explicit ReadRoof(std::int64_t bytes);
  ~ReadRoof();
  ReadRoof(const ReadRoof&) = delete;
  ReadRoof& operator=(const ReadRoof&) = delete;

  // Bytes per second over the buffer, part after part.
  [[nodiscard]] double measure(engine::cpu::ThreadPool& pool);

 private:
  void* data_;
  std::int64_t bytes_;
  std::int64_t position_ = 0;
};

}  // namespace quire::bench
