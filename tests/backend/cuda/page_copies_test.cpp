// Pages between the pool and the host beside a step's ops: whatever a device may do late or early,
// the pool and the host hold what they would if each copy were done where it stands.

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "engine/backend/cuda/cuda_backend.h"
#include "engine/backend/cuda/page_copies.h"
#include "tests/backend/cuda/fake_device.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

using cuda::testing::fake_api;
using cuda::testing::fake_device;

constexpr std::int64_t kPageFloats = 16;
constexpr std::int64_t kPageBytes = kPageFloats * 4;
constexpr int kPoolPages = 12;
constexpr int kHostPages = 80;  // several times the ring

// Two backends' pools and hosts in step: a device's, and plain memory.
class Pages {
 public:
  explicit Pages(std::unique_ptr<Backend> backend)
      : backend_(std::move(backend)),
        pool_(backend_->allocate(kPoolPages * kPageBytes)),
        host_(backend_->allocate_host_pages(kPageBytes, kHostPages)) {
    backend_->reserve(64, 8, 64, 64);
    if (host_ == nullptr) {
      own_.resize(kHostPages * kPageFloats);
      host_ = {std::shared_ptr<void>(), reinterpret_cast<std::byte*>(own_.data())};
    }
  }

  [[nodiscard]] Backend& backend() { return *backend_; }
  [[nodiscard]] std::byte* host(int page) { return host_.get() + page * kPageBytes; }
  [[nodiscard]] float* pool(int page) {
    return static_cast<float*>(pool_.data()) + page * kPageFloats;
  }
  // As an op sees it.
  [[nodiscard]] TensorView view(int page) {
    return {.data = pool(page), .rows = 1, .cols = kPageFloats, .row_stride = kPageFloats};
  }
  [[nodiscard]] KvLayer layer() {
    return {.pool = static_cast<std::byte*>(pool_.data()), .page_bytes = kPageBytes};
  }
  [[nodiscard]] bool same(Pages& other) {
    return std::memcmp(host(0), other.host(0), kHostPages * kPageBytes) == 0 &&
           std::memcmp(pool(0), other.pool(0), kPoolPages * kPageBytes) == 0;
  }

 private:
  std::unique_ptr<Backend> backend_;
  DeviceBuffer pool_;
  std::vector<float> own_;
  std::shared_ptr<std::byte> host_;
};

std::unique_ptr<Backend> make_fake(bool eager) {
  fake_device() = {.eager_copies = eager};
  return make_cuda_backend(fake_api(), {.num_threads = 1});
}

// A step of random copies, then ops that write pages. Half the copies are between few pages, so
// that they follow each other on the same ones.
void random_step(Pages& pages, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<int> hosts(kHostPages);
  std::iota(hosts.begin(), hosts.end(), 0);
  std::shuffle(hosts.begin(), hosts.end(), random);
  const auto some_page = [&] {
    return static_cast<int>(random() % (random() % 2 ? 3 : kPoolPages));
  };
  const auto count = random() % 60;
  Backend& backend = pages.backend();
  backend.begin_step({});
  for (unsigned i = 0; i < count; ++i) {
    const int page = some_page();
    const int other = (page + 1 + static_cast<int>(random() % (kPoolPages - 1))) % kPoolPages;
    const int host = hosts[i];
    switch (random() % 5) {
      case 0:
        backend.copy_page(pages.layer(), BlockId{page}, BlockId{other});
        break;
      case 1:
      case 2:
        backend.copy_page_in(pages.layer(), pages.host(host), BlockId{page});
        break;
      default:
        backend.copy_page_out(pages.layer(), BlockId{page}, pages.host(host));
    }
  }
  for (auto ops = random() % 4; ops > 0; --ops) {
    const int page = some_page();
    backend.add(pages.view(page), pages.view((page + 1) % kPoolPages));
  }
  backend.end_step();
}

// No page like another, and the same in both.
void fill(Pages& pages) {
  auto* host = reinterpret_cast<float*>(pages.host(0));
  for (int i = 0; i < kHostPages * kPageFloats; ++i) host[i] = static_cast<float>(1 + i);
  for (int page = 0; page < kPoolPages; ++page) {
    for (int i = 0; i < kPageFloats; ++i) {
      pages.pool(page)[i] = static_cast<float>(-1 - page * kPageFloats - i);
    }
  }
}

TEST_CASE("pages out and in leave pool and host as plain copies do") {
  for (const bool eager : {false, true}) {
    Pages device(make_fake(eager));
    Pages plain(make_reference_backend());
    fill(device);
    fill(plain);
    for (unsigned step = 0; step < 300; ++step) {
      INFO((eager ? "early" : "late") << ", step " << step);
      random_step(device, step);
      random_step(plain, step);
      REQUIRE(device.same(plain));
    }
  }
}

TEST_CASE("a page that leaves is one copy, and nothing in the step waits for it") {
  Pages device(make_fake(false));
  fill(device);
  const std::vector<float> before(device.pool(3), device.pool(3) + kPageFloats);
  fake_device().waits = 0;
  fake_device().copies = 0;
  device.backend().begin_step({});
  device.backend().copy_page_out(device.layer(), BlockId{3}, device.host(7));
  device.backend().add(device.view(3), device.view(4));
  CHECK(fake_device().waits == 0);
  CHECK(fake_device().copies == 2);  // within the device, and to the host
  device.backend().end_step();
  CHECK(std::memcmp(before.data(), device.host(7), kPageBytes) == 0);
  CHECK(std::memcmp(before.data(), device.pool(3), kPageBytes) != 0);
}

TEST_CASE("the ring and the host's pages are given back") {
  { const Pages device(make_fake(false)); }
  CHECK(fake_device().used_bytes == 0);
  CHECK(fake_device().pinned_bytes == 0);
}

}  // namespace
}  // namespace quire::engine
