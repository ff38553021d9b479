#include "tests/bench/machine_roofs.h"

#include <immintrin.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "engine/backend/host_memory.h"

namespace quire::bench {
namespace {

using engine::cpu::WorkItem;

volatile float float_sink;
volatile long long integer_sink;

long times_pushed_off() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

// Enough independent chains to fill both FMA ports.
__attribute__((target("avx512f"))) void fma_wide(long rounds) {
  __m512 sums[24];
  for (int i = 0; i < 24; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 factor = _mm512_set1_ps(0.999f);
  const __m512 term = _mm512_set1_ps(1e-3f);
  for (long r = 0; r < rounds; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < 24; ++i) sums[i] = _mm512_fmadd_ps(sums[i], factor, term);
  }
  for (int i = 1; i < 24; ++i) sums[0] = sums[0] + sums[i];
  float_sink = sums[0][0];
}

__attribute__((target("avx2,fma"))) void fma_narrow(long rounds) {
  __m256 sums[12];
  for (int i = 0; i < 12; ++i) sums[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 factor = _mm256_set1_ps(0.999f);
  const __m256 term = _mm256_set1_ps(1e-3f);
  for (long r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) sums[i] = _mm256_fmadd_ps(sums[i], factor, term);
  }
  for (int i = 1; i < 12; ++i) sums[0] = sums[0] + sums[i];
  float_sink = sums[0][0];
}

// Plain vectors of int, and the instruction itself: g++ 12 keeps arrays of __m512i in memory.
using Int32x16 = int __attribute__((vector_size(64)));
using Int32x8 = int __attribute__((vector_size(32)));

__attribute__((target("avx512f,avx512vnni"))) void int8_vnni(long rounds) {
  Int32x16 sums[24];
  for (int i = 0; i < 24; ++i) sums[i] = Int32x16{} + i;
  const Int32x16 a = Int32x16{} + 0x03030303;
  const Int32x16 b = Int32x16{} + 0x05050505;
  for (long r = 0; r < rounds; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < 24; ++i) {
      Int32x16 sum = sums[i];
      __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
      sums[i] = sum;
    }
  }
  for (int i = 1; i < 24; ++i) sums[0] = sums[0] + sums[i];
  integer_sink = sums[0][0];
}

__attribute__((target("avx2"))) void int8_narrow(long rounds) {
  Int32x8 sums[10];
  for (int i = 0; i < 10; ++i) sums[i] = Int32x8{} + i;
  const Int32x8 a = Int32x8{} + 0x03030303;
  const Int32x8 b = Int32x8{} + 0x05050505;
  const Int32x8 ones = Int32x8{} + 0x00010001;
  for (long r = 0; r < rounds; ++r) {
#pragma GCC unroll 10
    for (int i = 0; i < 10; ++i) {
      Int32x8 pairs;
      __asm__("vpmaddubsw %2, %1, %0\n\tvpmaddwd %3, %0, %0"
              : "=&x"(pairs)
              : "x"(a), "x"(b), "x"(ones), "x"(sums[i]));
      sums[i] = sums[i] + pairs;
    }
  }
  for (int i = 1; i < 10; ++i) sums[0] = sums[0] + sums[i];
  integer_sink = sums[0][0];
}

// Four tiles of sums by turns, of zeros: 16 rows by 16 columns by 32 k's each.
void bfloat16_tiles(long rounds) {
  struct alignas(64) {
    unsigned char palette = 1, start_row = 0, reserved[14] = {};
    unsigned short row_bytes[16] = {64, 64, 64, 64, 64, 64};
    unsigned char rows[16] = {16, 16, 16, 16, 16, 16};
  } shapes;
  __asm__ volatile(
      "ldtilecfg %0\n\ttilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\t"
      "tilezero %%tmm3\n\ttilezero %%tmm4\n\ttilezero %%tmm5"
      :
      : "m"(shapes));
  for (long r = 0; r < rounds; ++r) {
    __asm__ volatile(
        "tdpbf16ps %%tmm5, %%tmm4, %%tmm0\n\ttdpbf16ps %%tmm5, %%tmm4, %%tmm1\n\t"
        "tdpbf16ps %%tmm5, %%tmm4, %%tmm2\n\ttdpbf16ps %%tmm5, %%tmm4, %%tmm3" ::);
  }
  __asm__ volatile("tilerelease");
}

__attribute__((target("avx2"))) void read_bytes(const char* data, std::int64_t size) {
  __m256i any[8] = {};
  for (std::int64_t at = 0; at < size; at += 256) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      if (i % 2 == 0) _mm_prefetch(data + at + i * 32 + 8192, _MM_HINT_T1);
      any[i] = any[i] | _mm256_load_si256(reinterpret_cast<const __m256i*>(data + at + i * 32));
    }
  }
  for (int i = 1; i < 8; ++i) any[0] = any[0] | any[i];
  integer_sink = any[0][0] | any[0][1] | any[0][2] | any[0][3];
}

}  // namespace

double median_seconds(const std::function<void()>& call, double budget) {
  using Clock = std::chrono::steady_clock;
  const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
  std::vector<double> all;
  std::vector<double> undisturbed;
  const auto begin = Clock::now();
  for (;;) {
    const long before = times_pushed_off();
    const auto start = Clock::now();
    call();
    all.push_back(seconds(Clock::now() - start));
    if (times_pushed_off() == before) undisturbed.push_back(all.back());
    const double spent = seconds(Clock::now() - begin);
    if ((spent > budget && undisturbed.size() >= 7) || spent > 8 * budget) break;
  }
  std::vector<double>& times = undisturbed.empty() ? all : undisturbed;
  std::sort(times.begin(), times.end());
  // A neighbour that shares the core slows calls without pushing us off: drop what is far above the
  // best.
  const double best = times[times.size() / 20];
  while (times.size() > 1 && times.back() > 1.4 * best) times.pop_back();
  return times[times.size() / 2];
}

double fma_roof(engine::cpu::ThreadPool& pool, bool wide) {
  constexpr long kRounds = 20000;
  const auto call = [&] {
    pool.run(pool.num_threads(),
             [&](const WorkItem&) { wide ? fma_wide(kRounds) : fma_narrow(kRounds); });
  };
  const double flops =
      pool.num_threads() * static_cast<double>(kRounds) * (wide ? 24 * 32 : 12 * 16);
  return flops / median_seconds(call, 0.01);
}

bool has_vnni() { return __builtin_cpu_supports("avx512vnni") != 0; }

double int8_roof(engine::cpu::ThreadPool& pool, bool vnni) {
  constexpr long kRounds = 20000;
  const auto call = [&] {
    pool.run(pool.num_threads(),
             [&](const WorkItem&) { vnni ? int8_vnni(kRounds) : int8_narrow(kRounds); });
  };
  // Per round: registers times the int8 values in one, two operations each.
  const double ops =
      pool.num_threads() * static_cast<double>(kRounds) * (vnni ? 24 * 128 : 10 * 64);
  return ops / median_seconds(call, 0.01);
}

double tile_roof(engine::cpu::ThreadPool& pool) {
  constexpr long kRounds = 20000;
  const auto call = [&] {
    pool.run(pool.num_threads(), [&](const WorkItem&) { bfloat16_tiles(kRounds); });
  };
  const double flops = pool.num_threads() * static_cast<double>(kRounds) * 4 * (16 * 16 * 32 * 2);
  return flops / median_seconds(call, 0.1);
}

ReadRoof::ReadRoof(std::int64_t bytes) : data_(engine::map_zeroed(bytes)), bytes_(bytes) {
  std::memset(data_, 1, static_cast<std::size_t>(bytes));
}

ReadRoof::~ReadRoof() { engine::unmap(data_, bytes_); }

double ReadRoof::measure(engine::cpu::ThreadPool& pool) {
  const std::int64_t slice =
      std::min<std::int64_t>(8 << 20, bytes_ / pool.num_threads() / 4096 * 4096);
  const std::int64_t part = slice * pool.num_threads();
  const auto call = [&] {
    if (position_ + part > bytes_) position_ = 0;
    const char* begin = static_cast<const char*>(data_) + position_;
    pool.run(pool.num_threads(),
             [&](const WorkItem& item) { read_bytes(begin + item.index * slice, slice); });
    position_ += part;
  };
  return static_cast<double>(part) / median_seconds(call, 0.02);
}

}  // namespace quire::bench
