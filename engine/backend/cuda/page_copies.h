#pragma once
// PageCopies: whole pages between the pool and pinned memory, beside the step's other work.
//
// The main stream, which computes, never waits for a page on its way out: the page goes to a ring
// of pages in device memory on the main stream, and from there to the host on a stream of its own,
// while the main stream may write the page again. Pages on their way in have a stream, too; what
// comes after them on the main stream waits for them there.
// 1. Copies take effect in the order of the calls, and before what is put on the main stream after
//    before_main_work(). A page of the host that goes out does not come in again before finish().
// 2. A place of the ring is filled again when its page has left; the main stream waits for that,
//    the host does not.
// 3. After finish() no copy is under way.
// Engine thread only. reserve() once, before the first copy_out().

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/backend/cuda/device.h"

namespace quire::engine::cuda {

class PageCopies final {
 public:
  static constexpr std::size_t kRingPages = 16;

  // Both outlive this.
  PageCopies(Device& device, Stream& main);

  void reserve(std::int64_t page_bytes);
  void copy_out(const std::byte* page, std::byte* host);
  void copy_in(const std::byte* host, std::byte* page);
  // The main stream waits for the pages on their way in.
  void before_main_work();
  // The host waits for the pages on their way out, once the main stream is done.
  void finish();

 private:
  // A place of the ring.
  struct Place {
    explicit Place(Device& device) : filled(device), left(device) {}
    std::byte* page = nullptr;
    Event filled;  // by the main stream
    Event left;    // to the host
  };

  Device* device_;
  Stream* main_;
  Stream in_;
  Stream out_;
  Event main_done_;  // what the pages on their way in come after
  Event arrived_;
  std::int64_t page_bytes_ = 0;
  Memory memory_;
  std::array<std::unique_ptr<Place>, kRingPages> ring_;
  std::size_t next_ = 0;
  bool main_is_ahead_ = false;  // of in_, which does not wait for it yet
  bool arriving_ = false;
  bool leaving_ = false;
};

}  // namespace quire::engine::cuda
