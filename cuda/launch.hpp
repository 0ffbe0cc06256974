// The host's side of a launch.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "fastjag/kernels.hpp"

namespace fastjag {

// Throws CudaError where the code is none of success: "CUDA kernel KERNEL WHEN: ...".
void check(cudaError_t, char const* kernel, char const* when);

// Throws CudaError where the launch failed; with FASTJAG_SYNC=1 also where the kernel did.
void check_launch(char const* kernel, Stream);

// Runs a kernel that does nothing on the current GPU; throws CudaError where it does not run.
void probe();

// How many blocks so many items need.
inline int64_t blocks_for(int64_t items, int64_t items_per_block) {
    return items > items_per_block ? (items + items_per_block - 1) / items_per_block : 1;
}
constexpr int64_t every_block = int64_t{1} << 40;  // as many as the GPU runs at once

// The grid of a launch: as many blocks as are wanted, but never more than run at once. Kernels go
// round in loops, so that a second wave of blocks, which is never full, would only take longer.
int64_t grid_of(void const* kernel, int64_t blocks, int64_t threads, int64_t shared_bytes);

}  // namespace fastjag
