#include "engine/backend/cuda/page_copies.h"

#include "proto/check.h"

namespace quire::engine::cuda {

PageCopies::PageCopies(Device& device, Stream& main)
    : device_(&device),
      main_(&main),
      in_(device),
      out_(device),
      main_done_(device),
      arrived_(device) {}

void PageCopies::reserve(std::int64_t page_bytes) {
  CHECK_EQ(page_bytes_, std::int64_t{0});
  page_bytes_ = page_bytes;
  memory_ = Memory(*device_, kQuireCudaDevice, page_bytes * std::int64_t{kRingPages});
  std::byte* at = memory_.data();
  for (auto& place : ring_) {
    place = std::make_unique<Place>(*device_);
    place->page = at;
    at += page_bytes;
  }
}

void PageCopies::copy_out(const std::byte* page, std::byte* host) {
  CHECK_GT(page_bytes_, std::int64_t{0});
  before_main_work();
  Place& place = *ring_[next_++ % kRingPages];
  main_->wait(place.left);
  main_->copy(place.page, page, page_bytes_);
  main_->record(place.filled);
  out_.wait(place.filled);
  out_.copy(host, place.page, page_bytes_);
  out_.record(place.left);
  leaving_ = true;
}

void PageCopies::copy_in(const std::byte* host, std::byte* page) {
  CHECK_GT(page_bytes_, std::int64_t{0});
  if (main_is_ahead_) {
    main_->record(main_done_);
    in_.wait(main_done_);
    main_is_ahead_ = false;
  }
  in_.copy(page, host, page_bytes_);
  arriving_ = true;
}

void PageCopies::before_main_work() {
  main_is_ahead_ = true;
  if (!arriving_) return;
  in_.record(arrived_);
  main_->wait(arrived_);
  arriving_ = false;
}

void PageCopies::finish() {
  main_is_ahead_ = false;
  if (leaving_) out_.synchronize();
  leaving_ = false;
}

}  // namespace quire::engine::cuda
