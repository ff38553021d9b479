// A whole model's steps against the machine's own roofs, in one run.
//
//   bench_model FOLDER [--threads N] [--isa avx2|avx512|amx] [--dtype float32|float16|bfloat16]
//               [--quantization int8] [--kv-cache-dtype int8|fp8|...] [--context 160]
//               [--prefill 512] [--seconds 1.5] [--json FILE]
//               [--only prefill|decode] [--ops yes]
//
// Prefill of one prompt, and decoding 1, 8 and 32 sequences at a modest context, through the
// product's own ModelRunner (sampling included). By turns with each step the roofs: float32 FMA,
// int8 VNNI, and a memory read of the model's own size. FLOPs are 2 x body parameters x tokens +
// attention + output head for sampled rows; bytes are the packed weights, which a decoding step
// reads once. Medians; a share is the step's rate over the roof's. --ops yes adds what each op
// takes, the mean over runs of the step.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/backend/cpu/cpu_count.h"
#include "tests/bench/machine_roofs.h"
#include "tests/bench/model_steps.h"

namespace quire::bench {
namespace {

struct Arguments {
  LoadOptions load;
  std::int32_t context = 160;
  std::int32_t prefill = 512;
  double seconds = 1.5;  // for each step
  std::string only;      // steps whose name begins so
  std::string json_file;
};

struct Roofs {
  double fma = 0, int8 = 0, read = 0;
};

struct Row {
  std::string name;
  std::int64_t tokens = 0;
  double seconds = 0, flops = 0, bytes = 0;
  Roofs roofs;
};

class RoofGauge final {
 public:
  RoofGauge(int threads, bool wide, std::int64_t bytes)
      : pool_(threads), read_(bytes), wide_(wide), vnni_(wide && has_vnni()) {}
  Roofs measure() {
    return {.fma = fma_roof(pool_, wide_),
            .int8 = int8_roof(pool_, vnni_),
            .read = read_.measure(pool_)};
  }
  double tiles() { return tile_roof(pool_); }

 private:
  engine::cpu::ThreadPool pool_;
  ReadRoof read_;
  bool wide_, vnni_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Step and roofs by turns: on a machine with neighbours what it can do changes by the second.
Row measure(LoadedModel& model, RoofGauge& gauge, std::string name, const Step& step,
            double budget) {
  constexpr double kLongStep = 1.0;  // seconds; then fewer turns
  const auto start = std::chrono::steady_clock::now();
  model.run(step);  // warm
  const auto once = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const int turns = once > kLongStep ? 3 : 9;
  std::vector<double> seconds, fma, int8, read;
  for (int i = 0; i < turns; ++i) {
    const Roofs roofs = gauge.measure();
    fma.push_back(roofs.fma);
    int8.push_back(roofs.int8);
    read.push_back(roofs.read);
    seconds.push_back(median_seconds([&] { model.run(step); }, budget / turns));
  }
  return {.name = std::move(name),
          .tokens = step.tokens,
          .seconds = median(seconds),
          .flops = model.flops(step),
          .bytes = static_cast<double>(model.weight_bytes()),
          .roofs = {.fma = median(fma), .int8 = median(int8), .read = median(read)}};
}

void print_head() {
  std::printf(
      "| step | ms | tokens/s | GFLOP/s | of float32 FMA | of int8 | GB/s | of memory read | "
      "roofs: "
      "GFLOP/s, Gop/s, GB/s |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
}

void print_row(const Row& row) {
  const double flops = row.flops / row.seconds;
  const double bytes = row.bytes / row.seconds;
  std::printf(
      "| %s | %.2f | %.0f | %.0f | %.0f %% | %.0f %% | %.1f | %.0f %% | %.0f, %.0f, %.1f |\n",
      row.name.c_str(), row.seconds * 1e3, static_cast<double>(row.tokens) / row.seconds,
      flops * 1e-9, 100 * flops / row.roofs.fma, 100 * flops / row.roofs.int8, bytes * 1e-9,
      100 * bytes / row.roofs.read, row.roofs.fma * 1e-9, row.roofs.int8 * 1e-9,
      row.roofs.read * 1e-9);
  std::fflush(stdout);
}

// Where the time of one run of the step goes.
void print_ops(LoadedModel& model, const Step& step) {
  constexpr int kRuns = 10;
  model.timed()->clear();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kRuns; ++i) model.run(step);
  double rest = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (const auto& [op, seconds] : model.timed()->seconds()) {
    std::printf("    %-20s %9.3f ms\n", op.c_str(), seconds / kRuns * 1e3);
    rest -= seconds;
  }
  std::printf("    %-20s %9.3f ms\n", "between ops", rest / kRuns * 1e3);
}

void write_json(const Arguments& arguments, const LoadedModel& model, int threads,
                const std::vector<Row>& rows) {
  nlohmann::ordered_json body{{"folder", arguments.load.folder.string()},
                              {"backend", std::string(model.backend_name())},
                              {"threads", threads},
                              {"dtype", arguments.load.dtype},
                              {"kv_cache_dtype", arguments.load.kv_dtype},
                              {"quantization", arguments.load.int8 ? "int8" : "none"},
                              {"context", arguments.context},
                              {"weight_bytes", model.weight_bytes()},
                              {"load_seconds", model.load_seconds()}};
  for (const Row& row : rows) {
    body["steps"].push_back({{"name", row.name},
                             {"tokens", row.tokens},
                             {"seconds", row.seconds},
                             {"flops", row.flops},
                             {"bytes", row.bytes},
                             {"fma_roof", row.roofs.fma},
                             {"int8_roof", row.roofs.int8},
                             {"read_roof", row.roofs.read}});
  }
  std::ofstream file(arguments.json_file);
  file << body.dump(2) << '\n';
  file.close();
  if (!file) throw std::runtime_error("cannot write " + arguments.json_file);
}

void run(const Arguments& arguments) {
  LoadOptions load = arguments.load;
  if (load.threads <= 0) load.threads = engine::cpu::available_cpus();
  load.longest = std::max(arguments.context, arguments.prefill);
  LoadedModel model(load);
  const bool wide = model.backend_name() != "cpu-avx2";
  RoofGauge gauge(load.threads, wide, model.weight_bytes());
  std::printf("%s, %s, %d threads, %.0f MB of weights, loaded in %.2f s, context %d\n\n",
              arguments.load.folder.filename().c_str(), std::string(model.backend_name()).c_str(),
              load.threads, static_cast<double>(model.weight_bytes()) * 1e-6, model.load_seconds(),
              arguments.context);
  // Before the first step: it leaves no tiles set up, which kernels would take for granted.
  if (model.backend_name() == "cpu-amx") {
    std::printf("matrix tiles: %.0f GFLOP/s of bfloat16, two for each of a float's\n\n",
                gauge.tiles() * 1e-9);
  }
  print_head();
  std::vector<Row> rows;
  const auto add = [&](std::string name, const Step& step) {
    if (!name.starts_with(arguments.only)) return;
    rows.push_back(measure(model, gauge, std::move(name), step, arguments.seconds));
    print_row(rows.back());
    if (model.timed() != nullptr) print_ops(model, step);
  };
  add("prefill " + std::to_string(arguments.prefill),
      *model.step(1, arguments.prefill, arguments.prefill));
  for (const std::int32_t sequences : {1, 8, 32}) {
    add("decode " + std::to_string(sequences), *model.step(sequences, arguments.context, 1));
  }
  if (!arguments.json_file.empty()) write_json(arguments, model, load.threads, rows);
}

bool take(Arguments& arguments, const std::string& flag, const std::string& value) {
  const auto number = [&] { return static_cast<std::int32_t>(std::atoi(value.c_str())); };
  if (flag == "--threads") {
    arguments.load.threads = number();
  } else if (flag == "--isa") {
    arguments.load.isa = value;
  } else if (flag == "--dtype") {
    arguments.load.dtype = value;
  } else if (flag == "--kv-cache-dtype") {
    arguments.load.kv_dtype = value;
  } else if (flag == "--quantization") {
    arguments.load.int8 = value == "int8";
    return value == "int8" || value == "none";
  } else if (flag == "--context") {
    arguments.context = number();
  } else if (flag == "--prefill") {
    arguments.prefill = number();
  } else if (flag == "--seconds") {
    arguments.seconds = std::atof(value.c_str());
  } else if (flag == "--only") {
    arguments.only = value;
  } else if (flag == "--ops") {
    arguments.load.ops = value == "yes";
  } else if (flag == "--json") {
    arguments.json_file = value;
  } else {
    return false;
  }
  return true;
}

// A prefill is one step, so that it must fit the largest that the runner is made for.
bool parse(int argc, char** argv, Arguments& arguments) {
  if (argc < 2 || argc % 2 != 0) return false;
  arguments.load.folder = argv[1];
  for (int i = 2; i + 1 < argc; i += 2) {
    if (!take(arguments, argv[i], argv[i + 1])) return false;
  }
  return arguments.context > 0 && arguments.prefill > 0 && arguments.prefill <= kLargestStep &&
         arguments.seconds > 0;
}

}  // namespace
}  // namespace quire::bench

int main(int argc, char** argv) {
  quire::bench::Arguments arguments;
  if (!quire::bench::parse(argc, argv, arguments)) {
    std::fprintf(stderr,
                 "usage: bench_model FOLDER [--threads N] [--isa I] [--dtype D] [--quantization "
                 "int8]\n       [--kv-cache-dtype T] [--context N] [--prefill N, at most 512] "
                 "[--seconds S] [--json FILE]\n       [--only NAME] [--ops yes]\n");
    return 2;
  }
  try {
    quire::bench::run(arguments);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_model: %s\n", error.what());
    return 1;
  }
}
