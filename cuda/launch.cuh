// What every kernel of this folder needs: the launch, shared memory, errors, and a few words of
// warp. The two macros may come from elsewhere (tests/cuda_emulation).
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "launch.hpp"

// `blocks` are as many as there is work for: the GPU gets those that it runs at once. A kernel
// template with several arguments goes in parentheses.
#ifndef FASTJAG_LAUNCH
#define FASTJAG_LAUNCH(kernel, blocks, threads, shared_bytes, stream, ...)                         \
    do {                                                                                           \
        int64_t const grid_ = ::fastjag::grid_of(reinterpret_cast<void const*>(kernel), blocks,    \
                                                 threads, static_cast<int64_t>(shared_bytes));     \
        kernel<<<static_cast<unsigned>(grid_), static_cast<unsigned>(threads),                     \
                 static_cast<size_t>(shared_bytes), static_cast<cudaStream_t>((stream).handle)>>>( \
            __VA_ARGS__);                                                                          \
        ::fastjag::check_launch(#kernel, stream);                                                  \
    } while (0)
#endif

// T* name: the block's shared memory, as large as the launch says.
#ifndef FASTJAG_SHARED
#define FASTJAG_SHARED(T, name)                                      \
    extern __shared__ __align__(16) unsigned char fastjag_shared_[]; \
    T* const name = reinterpret_cast<T*>(fastjag_shared_)
#endif

// Here the pointer is known, whoever needs it: behind a condition the compiler would calculate
// addresses in shared memory anew for each.
#ifdef __CUDACC__
#define FASTJAG_NOW(pointer) asm volatile("" : "+l"(pointer))
#else
#define FASTJAG_NOW(pointer)
#endif

namespace fastjag {

constexpr int64_t warp_lanes = 32;
constexpr unsigned all_lanes = 0xffffffff;
constexpr int64_t block_threads = 256;
constexpr int64_t most_shared = 48 * 1024;  // bytes that every GPU grants a block unasked

__device__ inline int64_t global_thread() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ inline int64_t all_threads() { return int64_t{gridDim.x} * blockDim.x; }
__device__ inline int64_t lane_index() { return threadIdx.x % 32; }

// A second pass has found other numbers than the first one counted (Stream::changed). Any number
// of threads may say so.
__device__ inline void say_changed(int32_t* changed) {
    if (changed) atomicExch(changed, 1);
}

}  // namespace fastjag
