#pragma once
// Counts the allocations of the calling thread (operator new is replaced in this test program).

#include <cstdint>

namespace quire::test {

[[nodiscard]] std::int64_t allocations_of_this_thread();

}  // namespace quire::test
