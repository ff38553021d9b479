// How fast the tokenizer is, and that it is linear: bench_tokenizer TOKENIZER.JSON [TEXT-FILE]
//
// Prints the time to load, megabytes per second on the text, and for ten mebibytes of each of a
// dozen kinds of characters the processor time and the ratio to half of it (2.0 is linear).

#include <time.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "engine/tokenizer/tokenizer.h"

namespace {

using quire::engine::Tokenizer;

double cpu_seconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct Timing {
  double seconds;
  std::size_t num_tokens;
};

Timing time_encode(const Tokenizer& tokenizer, const std::string& text) {
  const double start = cpu_seconds();
  const std::size_t num_tokens = tokenizer.encode(text).size();
  return {cpu_seconds() - start, num_tokens};
}

std::string repeated(const std::string& unit, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  return text;
}

void bench_file(const Tokenizer& tokenizer, const char* path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  const Timing timing = time_encode(tokenizer, text);
  std::printf("%s: %zu bytes, %zu tokens, %.1f MB/s\n", path, text.size(), timing.num_tokens,
              static_cast<double>(text.size()) / timing.seconds / 1e6);
}

void bench_classes(const Tokenizer& tokenizer) {
  const std::pair<const char*, const char*> classes[] = {
      {"letter", "A"},
      {"space", " "},
      {"newline", "\n"},
      {"digit", "7"},
      {"CJK", "的"},
      {"combining marks", "\u0301"},
      {"emoji with joiners", "👨‍👩‍👧‍👦"},
      {"full stop", "."},
      {"mixed", "a1 .\n"},
      {"marks out of order", "\u0301\u0323"},
      {"invalid bytes", "\xFF"},
      {"words", "the quick fox "},
  };
  constexpr std::size_t kBytes = std::size_t{10} << 20;
  std::printf("%-20s %10s %10s %8s\n", "10 MiB of", "seconds", "tokens", "ratio");
  for (const auto& [name, unit] : classes) {
    const Timing half = time_encode(tokenizer, repeated(unit, kBytes / 2));
    const Timing whole = time_encode(tokenizer, repeated(unit, kBytes));
    std::printf("%-20s %10.3f %10zu %8.2f\n", name, whole.seconds, whole.num_tokens,
                whole.seconds / half.seconds);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_tokenizer TOKENIZER.JSON [TEXT-FILE]\n");
    return 2;
  }
  const double start = cpu_seconds();
  const auto result = Tokenizer::load(argv[1]);
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().message.c_str());
    return 1;
  }
  std::printf("load: %.1f ms\n", (cpu_seconds() - start) * 1e3);
  if (argc > 2) bench_file(*result.value(), argv[2]);
  bench_classes(*result.value());
  return 0;
}
