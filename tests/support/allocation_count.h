#pragma once
// Counts the allocations of the calling thread, and makes them fail: a test program that links
// quire_allocation_count has its operator new replaced.

#include <cstdint>
#include <limits>

namespace quire::test {

// Sanitizers bring an operator new of their own, which must match their delete: there nothing is
// counted, and a test that wants a count skips itself.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kAllocationsCounted = false;
#else
inline constexpr bool kAllocationsCounted = true;
#endif

[[nodiscard]] std::int64_t allocations_of_this_thread();

inline constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();
// After so many more the calling thread gets no memory, until this is called with kNoLimit.
void fail_allocations_after(std::int64_t count);

}  // namespace quire::test
