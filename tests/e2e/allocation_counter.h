#pragma once
// Counts the allocations of one thread, found by its name. Linking allocation_counter.cpp replaces
// malloc and its like for the whole program (glibc; not together with a sanitizer).
//
// Any thread may start and stop counting; one counter for the process.

#include <cstdint>

namespace quire::e2e {

// From now on counts what the threads of this name allocate (at most 15 bytes, as pthreads has it).
void start_counting(const char* thread_name);
[[nodiscard]] std::int64_t stop_counting();
// Where the first allocations since start_counting() came from, to stderr.
void print_traces();

}  // namespace quire::e2e
