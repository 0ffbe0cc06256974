// Kernels for the tests of the emulation itself: all have the same arguments and go by their names.
#pragma once

#include <cstddef>
#include <cstdint>

struct Launch {
    int const* in;
    int* out;
    int64_t n;
    unsigned blocks, threads;
    size_t shared_bytes;
};
struct Kernel {
    char const* name;
    void (*launch)(Launch const&);
};
extern Kernel const clean_kernels[], defective_kernels[];  // ended by one without a name

#define KERNEL(name)                                                                           \
    {#name, [](Launch const& l) {                                                              \
         FASTJAG_LAUNCH(name, l.blocks, l.threads, l.shared_bytes, nullptr, l.in, l.out, l.n); \
     }}
