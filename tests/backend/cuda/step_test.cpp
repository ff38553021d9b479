// What a step asks of a device: one upload, no wait inside it, graphs by the ladder's sizes; and
// what happens where the device refuses or is lost.

#include <array>

#include "engine/backend/cuda/cuda_backend.h"
#include "engine/backend/cuda/device.h"
#include "proto/error.h"
#include "tests/backend/cuda/fake_device.h"
#include "tests/backend/tensors.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

using cuda::testing::fake_api;
using cuda::testing::fake_device;
using testing::FileTensor;
using testing::Matrix;

constexpr std::int64_t kRows = 16;  // room, in eights
constexpr std::int64_t kCols = 40;

// A backend with one weight, and decode steps that are one product.
class Steps {
 public:
  explicit Steps(bool use_graphs) {
    fake_device() = {};
    backend_ = make_cuda_backend(fake_api(), {.num_threads = 1, .use_graphs = use_graphs});
    backend_->reserve(kRows, kRows, 64, 256);
    const HostTensor parts[] = {file_.tensor()};
    weight_ = backend_->prepare_weight(parts, DType::kBFloat16);
    fake_device().copies = 0;
    fake_device().waits = 0;
  }

  // The product of the first `rows` rows of x, as a step of so many decodes.
  Matrix decode(Matrix& x, std::int64_t rows) {
    run(x, rows, rows);
    return out_;
  }
  // The same as one sequence's prompt.
  void prefill(Matrix& x, std::int64_t rows) { run(x, rows, 1); }

 private:
  void run(Matrix& x, std::int64_t rows, std::int64_t sequences) {
    const std::array<std::int32_t, kRows> zeros{};
    const std::array<std::int64_t, kRows> slots{};
    const std::span ids(zeros.data(), static_cast<std::size_t>(rows));
    const std::span each(zeros.data(), static_cast<std::size_t>(sequences));
    backend_->begin_step({.token_ids = ids,
                          .positions = ids,
                          .slot_mapping = {slots.data(), static_cast<std::size_t>(rows)},
                          .query_start_loc = {},
                          .context_lens = each,
                          .block_ids = {},
                          .block_start = {},
                          .sample_tokens = each});
    backend_->linear(x.rows_of(0, rows), *weight_, nullptr, out_.rows_of(0, rows));
    waits_inside_ = fake_device().waits;
    backend_->end_step();
  }

  std::mt19937 random_{1};
  FileTensor file_{Matrix::random(24, kCols, random_), DType::kBFloat16};
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Weight> weight_;
  Matrix out_{kRows, 24};

 public:
  std::int64_t waits_inside_ = 0;
};

TEST_CASE("decodes replay the graph of their size, and get what a plain step gets") {
  std::mt19937 random(2);
  Matrix x = Matrix::random(kRows, kCols, random);
  Steps plain(false);
  std::vector<Matrix> expected;
  for (const std::int64_t rows : {3, 4, 5}) expected.push_back(plain.decode(x, rows));
  CHECK(fake_device().graphs == 0);

  Steps steps(true);
  const Matrix three = steps.decode(x, 3);
  CHECK(fake_device().graphs == 1);
  CHECK(fake_device().graph_launches == 1);
  CHECK(fake_device().copies == 1);  // the upload
  CHECK(steps.waits_inside_ == 0);
  CHECK(fake_device().waits == 1);
  for (std::int64_t r = 0; r < 3; ++r) CHECK(three.same_row(r, expected[0], r));

  const Matrix four = steps.decode(x, 4);
  CHECK(fake_device().graphs == 1);
  CHECK(fake_device().graph_launches == 2);
  for (std::int64_t r = 0; r < 4; ++r) CHECK(four.same_row(r, expected[1], r));
  const Matrix five = steps.decode(x, 5);
  CHECK(fake_device().graphs == 2);
  for (std::int64_t r = 0; r < 5; ++r) CHECK(five.same_row(r, expected[2], r));
  CHECK(fake_device().runs == 0);
  steps.prefill(x, 4);
  CHECK(fake_device().runs == 1);
  CHECK(fake_device().graphs == 2);
}

TEST_CASE("memory that is not there refuses the start") {
  fake_device() = {};
  fake_device().memory_bytes = std::int64_t{1} << 20;
  const auto backend = make_cuda_backend(fake_api(), {.num_threads = 1});
  CHECK_THROWS_AS((void)backend->allocate(std::int64_t{1} << 21), StartupError);
  CHECK(backend->device_memory()->free == std::int64_t{1} << 20);
  fake_device() = {.present = false};
  CHECK_THROWS_AS((void)make_cuda_backend(fake_api(), {}), StartupError);
}

TEST_CASE("a lost device is an exception in the step, and in every later one") {
  std::mt19937 random(2);
  Matrix x = Matrix::random(kRows, kCols, random);
  Steps steps(false);
  fake_device().ops_before_loss = 1;
  CHECK_THROWS_AS((void)steps.decode(x, 3), cuda::DeviceLost);
  CHECK_THROWS_AS((void)steps.decode(x, 3), cuda::DeviceLost);
}

}  // namespace
}  // namespace quire::engine
