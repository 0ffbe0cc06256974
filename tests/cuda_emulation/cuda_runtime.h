// Stands in for CUDA's header of this name when kernels are compiled by g++ and executed by the
// emulation beside it. Free of the standard library, whose functions would be instrumented too.
#pragma once

#include <cstddef>
#include <cstdint>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __align__(n) alignas(n)
#define CUDART_VERSION 13000

#define FASTJAG_VECTOR(T, name, n)                                     \
    struct alignas(2 * sizeof(T)) name##2 { T x, y; };                 \
    struct name##3 { T x, y, z; };                                     \
    struct alignas(n) name##4 { T x, y, z, w; };                       \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }         \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; } \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
FASTJAG_VECTOR(signed char, char, 4)
FASTJAG_VECTOR(unsigned char, uchar, 4)
FASTJAG_VECTOR(short, short, 8)
FASTJAG_VECTOR(unsigned short, ushort, 8)
FASTJAG_VECTOR(int, int, 16)
FASTJAG_VECTOR(unsigned, uint, 16)
FASTJAG_VECTOR(float, float, 16)
FASTJAG_VECTOR(double, double, 16)
FASTJAG_VECTOR(long long, longlong, 16)
FASTJAG_VECTOR(unsigned long long, ulonglong, 16)
#undef FASTJAG_VECTOR

namespace cuda_emulation {

using Word = unsigned long long;
enum class Warp { sync, shuffle, ballot };
enum class Atomic { add, max, min, max_signed, min_signed, bit_or, bit_and, exchange, compare };

// All of these are compiled without instrumentation. Those marked const answer the same for the
// whole life of a CUDA thread.
__attribute__((const)) uint3 thread_index();
__attribute__((const)) uint3 block_index();
__attribute__((const)) uint3 block_size();
__attribute__((const)) uint3 grid_size();
__attribute__((const)) void* shared_memory();
void barrier(int site, int line);
// A shuffle's answer is what lane `source` gave as value; a ballot's value is the predicate.
Word warp(Warp, int site, int line, unsigned mask, Word value, unsigned source);
Word atomic(Atomic, void* address, int bytes, Word value, Word compare);
void launch(char const* kernel, int64_t blocks, int64_t threads, int64_t shared_bytes,
            void (*body)(void const*), void const* arguments, size_t argument_bytes);

template <class Body>
void launch(char const* kernel, int64_t blocks, int64_t threads, int64_t shared_bytes, Body body) {
    launch(
        kernel, blocks, threads, shared_bytes,
        [](void const* b) { (*static_cast<Body const*>(b))(); }, &body, sizeof(Body));
}

template <class T>
Word bits(T value) {
    static_assert(sizeof(T) <= 8);
    Word word = 0;
    __builtin_memcpy(&word, &value, sizeof(T));
    return word;
}
template <class T>
T value_of(Word word) {
    T value;
    __builtin_memcpy(&value, &word, sizeof(T));
    return value;
}
template <class T>
T shuffle(int site, int line, unsigned mask, T value, unsigned source) {
    return value_of<T>(warp(Warp::shuffle, site, line, mask, bits(value), source));
}
inline unsigned ballot(int site, int line, unsigned mask, Word predicate) {
    return static_cast<unsigned>(warp(Warp::ballot, site, line, mask, predicate, 0));
}
inline void sync_warp(int site, int line, unsigned mask = 0xffffffff) {
    warp(Warp::sync, site, line, mask, 0, 0);
}
inline unsigned lane() { return thread_index().x % 32; }
inline unsigned shuffle_from(int source, int width = 32) {
    return (lane() & ~(width - 1u)) | (static_cast<unsigned>(source) & (width - 1u));
}
inline unsigned shuffle_from_up(unsigned delta, int width = 32) {
    return (lane() & (width - 1u)) < delta ? lane() : lane() - delta;
}
inline unsigned shuffle_from_down(unsigned delta, int width = 32) {
    return (lane() & (width - 1u)) + delta >= static_cast<unsigned>(width) ? lane()
                                                                           : lane() + delta;
}
inline unsigned shuffle_from_xor(int lanes, int width = 32) {
    unsigned const source = lane() ^ static_cast<unsigned>(lanes);
    return source >= (lane() & ~(width - 1u)) + width ? lane() : source;
}

}  // namespace cuda_emulation

constexpr int warpSize = 32;
#define threadIdx (::cuda_emulation::thread_index())
#define blockIdx (::cuda_emulation::block_index())
#define blockDim (::cuda_emulation::block_size())
#define gridDim (::cuda_emulation::grid_size())

// Macros, because __COUNTER__ tells two barriers apart that stand on one line.
#define __syncthreads() ::cuda_emulation::barrier(__COUNTER__, __LINE__)
#define __syncwarp(...) \
    ::cuda_emulation::sync_warp(__COUNTER__, __LINE__ __VA_OPT__(, ) __VA_ARGS__)
#define __ballot_sync(mask, predicate) \
    ::cuda_emulation::ballot(__COUNTER__, __LINE__, mask, (predicate) ? 1 : 0)
#define __any_sync(mask, predicate) (__ballot_sync(mask, predicate) != 0)
#define __all_sync(mask, predicate) (__ballot_sync(mask, !(predicate)) == 0)
#define FASTJAG_SHUFFLE(mask, value, source) \
    ::cuda_emulation::shuffle(__COUNTER__, __LINE__, mask, value, source)
#define __shfl_sync(mask, value, ...) \
    FASTJAG_SHUFFLE(mask, value, ::cuda_emulation::shuffle_from(__VA_ARGS__))
#define __shfl_up_sync(mask, value, ...) \
    FASTJAG_SHUFFLE(mask, value, ::cuda_emulation::shuffle_from_up(__VA_ARGS__))
#define __shfl_down_sync(mask, value, ...) \
    FASTJAG_SHUFFLE(mask, value, ::cuda_emulation::shuffle_from_down(__VA_ARGS__))
#define __shfl_xor_sync(mask, value, ...) \
    FASTJAG_SHUFFLE(mask, value, ::cuda_emulation::shuffle_from_xor(__VA_ARGS__))

namespace fastjag {
int64_t grid_of(void const* kernel, int64_t blocks, int64_t threads, int64_t shared_bytes);
}
namespace cuda_emulation {
extern int64_t wanted_blocks;  // of the next launch: on a GPU of any size
extern int resident_blocks;    // of the emulated GPU's only processor
// What launches of the library end with, found by the type of its stream.
template <class Stream>
void after_launch(char const* kernel, Stream const& stream) {
    check_launch(kernel, stream);
}
inline void after_launch(char const*, decltype(nullptr)) {}
// As many blocks as the library lets run at once; all of them where there is no library.
template <class Stream>
int64_t grid(Stream const&, void const* kernel, int64_t blocks, int64_t threads, int64_t shared) {
    wanted_blocks = blocks;
    return fastjag::grid_of(kernel, blocks, threads, shared);
}
inline int64_t grid(decltype(nullptr), void const*, int64_t blocks, int64_t, int64_t) {
    return blocks;
}
}  // namespace cuda_emulation

// Grids and blocks have one dimension. The arguments are evaluated once, by the host; each CUDA
// thread gets copies, as in CUDA.
#define FASTJAG_LAUNCH(kernel, blocks, threads, shared_bytes, stream, ...)                      \
    do {                                                                                        \
        int64_t const grid_ = ::cuda_emulation::grid(                                           \
            stream, reinterpret_cast<void const*>(kernel), blocks, threads, shared_bytes);      \
        ::cuda_emulation::launch(#kernel, grid_, threads, shared_bytes, [](auto... arguments) { \
            return [=] { kernel(arguments...); };                                               \
        }(__VA_ARGS__));                                                                        \
        ::cuda_emulation::after_launch(#kernel, stream);                                        \
    } while (0)
#define FASTJAG_SHARED(T, name) T* const name = static_cast<T*>(::cuda_emulation::shared_memory())

#define FASTJAG_ATOMIC(name, operation, T)                                                 \
    inline T name(T* address, T value) {                                                   \
        using namespace cuda_emulation;                                                    \
        return value_of<T>(atomic(Atomic::operation, address, sizeof(T), bits(value), 0)); \
    }
#define FASTJAG_ATOMICS(T, max, min)    \
    FASTJAG_ATOMIC(atomicMax, max, T)   \
    FASTJAG_ATOMIC(atomicMin, min, T)   \
    FASTJAG_ATOMIC(atomicOr, bit_or, T) \
    FASTJAG_ATOMIC(atomicAnd, bit_and, T)
#define FASTJAG_EXCHANGES(T)                                                          \
    FASTJAG_ATOMIC(atomicAdd, add, T)                                                 \
    FASTJAG_ATOMIC(atomicExch, exchange, T)                                           \
    inline T atomicCAS(T* address, T compare, T value) {                              \
        using namespace cuda_emulation;                                               \
        return value_of<T>(                                                           \
            atomic(Atomic::compare, address, sizeof(T), bits(value), bits(compare))); \
    }
FASTJAG_ATOMICS(int, max_signed, min_signed)
FASTJAG_ATOMICS(unsigned, max, min)
FASTJAG_ATOMICS(long long, max_signed, min_signed)
FASTJAG_ATOMICS(unsigned long long, max, min)
FASTJAG_EXCHANGES(int)
FASTJAG_EXCHANGES(unsigned)
FASTJAG_EXCHANGES(unsigned long long)
#undef FASTJAG_ATOMIC
#undef FASTJAG_ATOMICS
#undef FASTJAG_EXCHANGES

template <class T>
T __ldg(T const* address) {
    return *address;
}
inline unsigned __umulhi(unsigned x, unsigned y) {
    return static_cast<unsigned>(static_cast<uint64_t>(x) * y >> 32);
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __clzll(long long x) {
    return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64;
}
inline long long __double_as_longlong(double x) { return __builtin_bit_cast(long long, x); }
inline double __longlong_as_double(long long x) { return __builtin_bit_cast(double, x); }
inline int __float_as_int(float x) { return __builtin_bit_cast(int, x); }
inline float __int_as_float(int x) { return __builtin_bit_cast(float, x); }
inline unsigned __float_as_uint(float x) { return __builtin_bit_cast(unsigned, x); }
inline float __uint_as_float(unsigned x) { return __builtin_bit_cast(float, x); }

// The host's interface, as far as it is used.
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorNoDevice = 100 };
enum cudaDeviceAttr {
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76
};
enum cudaMemcpyKind {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
};
using cudaStream_t = struct CUstream_st*;
namespace cuda_emulation {
cudaError_t failure(char const* of);  // what a test asked for, once
}
cudaError_t cudaMemsetAsync(void*, int value, size_t bytes, cudaStream_t = nullptr);
cudaError_t cudaMemcpyAsync(void* to, void const* from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t = nullptr);
inline cudaError_t cudaGetLastError() { return cuda_emulation::failure("launch"); }
inline cudaError_t cudaPeekAtLastError() { return cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) {
    return cuda_emulation::failure("synchronize");
}
inline char const* cudaGetErrorName(cudaError_t e) {
    return e == cudaSuccess ? "cudaSuccess" : "cudaErrorInvalidValue";
}
inline char const* cudaGetErrorString(cudaError_t e) {
    return e == cudaSuccess ? "no error" : "invalid argument";
}
inline cudaError_t cudaAnswer(int* out, int value) {
    *out = value;
    return cudaSuccess;
}
inline cudaError_t cudaGetDevice(int* device) { return cudaAnswer(device, 0); }
inline cudaError_t cudaGetDeviceCount(int* count) { return cudaAnswer(count, 1); }
inline cudaError_t cudaDriverGetVersion(int* v) { return cudaAnswer(v, CUDART_VERSION); }
inline cudaError_t cudaRuntimeGetVersion(int* v) { return cudaAnswer(v, CUDART_VERSION); }
// One processor and few blocks, so that grids are small and their loops go round.
inline cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* n, void const*, int, size_t) {
    return cudaAnswer(n, cuda_emulation::resident_blocks);
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr of, int) {
    return cudaAnswer(value, of == cudaDevAttrComputeCapabilityMajor   ? 11
                             : of == cudaDevAttrComputeCapabilityMinor ? 2
                                                                       : 1);
}
