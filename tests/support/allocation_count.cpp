#include "tests/support/allocation_count.h"

#include <cstdlib>
#include <new>

namespace {
thread_local std::int64_t allocations = 0;
thread_local std::int64_t most_allocations = quire::test::kNoLimit;
}  // namespace

namespace quire::test {
std::int64_t allocations_of_this_thread() { return allocations; }
void fail_allocations_after(std::int64_t count) {
  most_allocations = count == kNoLimit ? kNoLimit : allocations + count;
}
}  // namespace quire::test

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Not inlined: the compiler would see free() of what it takes for another's memory.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (allocations >= most_allocations) throw std::bad_alloc();
  ++allocations;
  if (void* const memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif
