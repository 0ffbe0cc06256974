// Compiler glue shared by every kernel file, host and device.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define FASTJAG_HD __host__ __device__ inline
#elif defined(__GNUC__)
#define FASTJAG_HD [[gnu::always_inline]] inline  // a call inside a loop keeps it from vectorising
#else
#define FASTJAG_HD inline
#endif

// Before a loop: compilers that unroll it would only make code that does not fit into caches.
#ifdef __CUDACC__
#define FASTJAG_ROLLED _Pragma("unroll 1")
#else
#define FASTJAG_ROLLED
#endif

// Shared inline functions live in a namespace of the instruction set they are compiled for. In one
// common namespace the linker would keep a single copy of each, perhaps the one with AVX-512 in
// it, for the code that old CPUs run. For the same reason objects compiled for an instruction set
// include nothing of the standard library but <cmath>, <cstdint> and <type_traits>; <immintrin.h>
// is fine, as every function in it is always inlined.
#ifndef FASTJAG_ISA
#define FASTJAG_ISA baseline
#endif

namespace fastjag {

// How a long call ends before it is done (parallel.hpp), and what it throws then.
struct Interrupt;
struct Interrupted {};

// How many threads a kernel may use; kernels fall back to one below their grain.
struct Threads {
    int count = 1;
    Interrupt* interrupt = nullptr;
};

// A CUDA stream: kernels given one run on its GPU, behind what it already holds. `changed`, a word
// of the GPU or null, becomes 1 in a second pass that finds other numbers than the first one
// counted, and in a first pass where the second one will have to look at inputs again. `scratch` is
// memory of the GPU, as large as WORD_scratch says, 16-aligned; two passes share it.
struct Stream {
    void* handle = nullptr;
    int32_t* changed = nullptr;
    void* scratch = nullptr;
};

namespace FASTJAG_ISA {

FASTJAG_HD int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
FASTJAG_HD int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

}  // namespace FASTJAG_ISA
}  // namespace fastjag
