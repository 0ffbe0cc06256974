// The contract of `nested_lists`: std::vector<std::vector<T>> of a basket -> lengths and values;
// kernels.hpp has the conventions. CPU only, one thread: baskets are what threads share.
#pragma once
#include <cstdint>

namespace fastjag {

// Before the lists of an entry: bytes to come (with a bit set) and a version, then how many lists.
constexpr int64_t nested_header = 10;

struct NestedArgs {
    const uint8_t* data;  // (size,)
    int64_t size;
    const int64_t *starts, *stops;  // (n,): where the lists of an entry begin and end in data
    int64_t n;
    int64_t* counts;   // (n,): lists of each entry
    int64_t* lengths;  // (n_lists,): of each list
    int64_t n_lists;
    void* values;  // (n_values,), which have the byte order of this machine
    int64_t n_values;
};

// Both return an entry that is not what it should be, or -1. First the counts ...
int64_t count_nested(NestedArgs const&);
// ... which say how much room there must be for the rest; itemsize is 1, 2, 4 or 8.
int64_t nested_lists(NestedArgs const&, int64_t itemsize);

}  // namespace fastjag
