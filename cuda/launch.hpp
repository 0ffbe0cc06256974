// The host's side of a launch.
#pragma once

#include <cstdint>

#include "fastjag/kernels.hpp"

namespace fastjag {

// Throws CudaError where the launch failed; with FASTJAG_SYNC=1 also where the kernel did.
void check_launch(char const* kernel, Stream);

// How many blocks of a grid-stride loop keep the GPU busy: at most what the items need.
int64_t blocks_for(int64_t items, int64_t items_per_block);

}  // namespace fastjag
