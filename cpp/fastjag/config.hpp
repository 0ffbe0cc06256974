// Compiler glue shared by every kernel file, host and device.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define FASTJAG_HD __host__ __device__ inline
#else
#define FASTJAG_HD inline
#endif

namespace fastjag {

// How many threads a kernel may use; kernels fall back to one below their grain.
struct Threads {
    int count = 1;
};

}  // namespace fastjag
