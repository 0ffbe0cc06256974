// Defects on purpose, each of which the emulation must find.
#include <cuda_runtime.h>

#include "planted.hpp"

namespace {

__global__ void reads_one_too_many(int const* in, int* out, int64_t n) {
    int64_t const i = threadIdx.x;
    if (blockIdx.x == 0 && i < n) out[i] = in[i + 1];
}

}  // namespace

Kernel const defective_kernels[] = {KERNEL(reads_one_too_many), {nullptr, nullptr}};
