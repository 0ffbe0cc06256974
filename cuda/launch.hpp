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

// How many blocks of a grid-stride loop keep the GPU busy: at most what the items need.
int64_t blocks_for(int64_t items, int64_t items_per_block);

}  // namespace fastjag
