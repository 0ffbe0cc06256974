// Correct kernels: the emulation must execute them as a GPU would, and stay silent.
#include <cuda_runtime.h>

#include "planted.hpp"

namespace {

constexpr unsigned all_lanes = 0xffffffff;

__device__ int64_t global_thread() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ int64_t all_threads() { return int64_t{gridDim.x} * blockDim.x; }

__global__ void doubled(int const* in, int* out, int64_t n) {
    for (int64_t i = global_thread(); i < n; i += all_threads()) out[i] = 2 * in[i];
}

template <class T>
__device__ T warp_sum(T x) {
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(all_lanes, x, step);
    return x;
}

// One sum per block, by shuffles and one word of shared memory per warp.
__global__ void shuffle_sum(int const* in, int* out, int64_t n) {
    FASTJAG_SHARED(double, sums);
    double sum = 0;
    for (int64_t i = global_thread(); i < n; i += all_threads()) sum += in[i];
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (unsigned w = 1; w < blockDim.x / 32; ++w) sum += sums[w];
        out[blockIdx.x] = static_cast<int>(sum);
    }
}

// Positive values to the front, in order; one warp.
__global__ void ballot_compaction(int const* in, int* out, int64_t n) {
    int const lane = threadIdx.x;
    int64_t kept = 0;
    for (int64_t start = 0; start < n; start += 32) {
        bool const keep = start + lane < n && in[start + lane] > 0;
        unsigned const chosen = __ballot_sync(all_lanes, keep);
        if (keep) out[kept + __popc(chosen & ((1u << lane) - 1))] = in[start + lane];
        kept += __popc(chosen);
    }
}

// Of 64 bins, counted in shared memory first.
__global__ void histogram(int const* in, int* out, int64_t n) {
    FASTJAG_SHARED(int, counts);
    for (unsigned bin = threadIdx.x; bin < 64; bin += blockDim.x) counts[bin] = 0;
    __syncthreads();
    for (int64_t i = global_thread(); i < n; i += all_threads()) atomicAdd(&counts[in[i] & 63], 1);
    __syncthreads();
    for (unsigned bin = threadIdx.x; bin < 64; bin += blockDim.x)
        if (counts[bin]) atomicAdd(&out[bin], counts[bin]);
}

// n x n, in tiles of 32 x 32 that blocks of 32 x 8 threads read and write in rows.
__global__ void transpose(int const* in, int* out, int64_t n) {
    constexpr int side = 32, pitch = side + 1;
    FASTJAG_SHARED(int, tile);
    int const lane = threadIdx.x % side, row = threadIdx.x / side, rows = blockDim.x / side;
    int64_t const tiles = (n + side - 1) / side;
    for (int64_t t = blockIdx.x; t < tiles * tiles; t += gridDim.x) {
        int64_t const y = t / tiles * side, x = t % tiles * side;
        for (int r = row; r < side; r += rows)
            if (y + r < n && x + lane < n) tile[r * pitch + lane] = in[(y + r) * n + x + lane];
        __syncthreads();
        for (int r = row; r < side; r += rows)
            if (x + r < n && y + lane < n) out[(x + r) * n + y + lane] = tile[lane * pitch + r];
        __syncthreads();
    }
}

// Lanes write, others read: ordered by __syncwarp. Each warp turns its 32 values round.
__global__ void turned_in_warps(int const* in, int* out, int64_t) {
    FASTJAG_SHARED(int, values);
    unsigned const lane = threadIdx.x % 32;
    int* const own = values + threadIdx.x / 32 * 32;
    own[lane] = in[global_thread()];
    __syncwarp();
    int const other = own[31 - lane];
    __syncwarp();
    own[lane] = other;
    __syncwarp(all_lanes);
    out[global_thread()] = own[lane];
}

__global__ void copied_by_four(int const* in, int* out, int64_t n) {
    for (int64_t i = global_thread(); i < n / 4; i += all_threads()) {
        int4 v = reinterpret_cast<int4 const*>(in)[i];
        v.w += v.x;
        reinterpret_cast<int4*>(out)[i] = v;
    }
}

// Neighbouring threads write neighbouring bytes.
__global__ void flags_in_bytes(int const* in, int* out, int64_t n) {
    auto* const flags = reinterpret_cast<unsigned char*>(out);
    for (int64_t i = global_thread(); i < n; i += all_threads()) flags[i] = in[i] > 0;
}

// A thread may use again what it wrote; all may read what was written before a barrier.
__global__ void passed_on(int const* in, int* out, int64_t) {
    int64_t const first = int64_t{blockIdx.x} * blockDim.x;
    int* const own = &out[first + threadIdx.x];
    *own = in[first];
    *own += 1;
    __syncthreads();
    int sum = 0;
    for (unsigned t = 0; t < blockDim.x; ++t) sum += out[first + t];
    __syncthreads();
    *own = sum;
}

// One row of 32 per intrinsic, from 32 values of one warp; then atomics on one place each.
__global__ void intrinsics(int const* in, int* out, int64_t) {
    int const lane = threadIdx.x, x = in[lane];
    int const rows[] = {
        __shfl_sync(all_lanes, x, 5),
        __shfl_sync(all_lanes, x, 9, 8),
        __shfl_up_sync(all_lanes, x, 3),
        __shfl_up_sync(all_lanes, x, 3, 8),
        __shfl_down_sync(all_lanes, x, 3),
        __shfl_down_sync(all_lanes, x, 3, 8),
        __shfl_xor_sync(all_lanes, x, 6),
        static_cast<int>(__shfl_sync(all_lanes, int64_t{x} << 33, 7) >> 33),
        static_cast<int>(__shfl_sync(all_lanes, x / 2.0f, 7) * 2.0f),
        static_cast<int>(__shfl_sync(all_lanes, x / 2.0, 7) * 2.0),
        static_cast<int>(__ballot_sync(all_lanes, x > 0)),
        __any_sync(all_lanes, x == in[3]),
        __all_sync(all_lanes, x == in[3]),
        __all_sync(all_lanes, x < 1000),
        __popc(static_cast<unsigned>(x)),
        __popcll(static_cast<unsigned long long>(x)),
        __ffs(x),
        __clz(x),
        __ffsll(int64_t{x} << 32),
        __clzll(x),
    };
    int row = 0;
    for (int value : rows) out[32 * row++ + lane] = value;
    int* const cell = out + 32 * row;
    atomicAdd(&cell[0], x);
    atomicMax(&cell[1], x);
    atomicMin(&cell[2], x);
    atomicOr(&cell[3], x);
    atomicAnd(&cell[4], x);
    atomicMax(reinterpret_cast<unsigned*>(&cell[5]), static_cast<unsigned>(x));
    for (int expected = 0, old; (old = atomicCAS(&cell[6], expected, expected + x)) != expected;)
        expected = old;
    if (lane == 0) cell[8] = atomicExch(&cell[7], x);
    atomicMin(reinterpret_cast<long long*>(&cell[10]), static_cast<long long>(x));
    atomicAdd(reinterpret_cast<unsigned long long*>(&cell[12]), static_cast<unsigned long long>(x));
}

// Right whoever comes last: shows the order of threads.
__global__ void last_one(int const* in, int* out, int64_t) { atomicExch(out, in[global_thread()]); }

}  // namespace

// Not a kernel: the host's functions. n zeros, then a copy of what the source holds.
static void cleared_and_copied(Launch const& l) {
    auto const bytes = static_cast<size_t>(l.n) * sizeof(int);
    cudaMemsetAsync(l.out, 0, bytes);
    cudaMemcpyAsync(l.out + l.n, l.in, bytes, cudaMemcpyDeviceToDevice);
}

Kernel const clean_kernels[] = {
    KERNEL(doubled),        KERNEL(shuffle_sum),    KERNEL(ballot_compaction),
    KERNEL(histogram),      KERNEL(transpose),      KERNEL(turned_in_warps),
    KERNEL(copied_by_four), KERNEL(flags_in_bytes), KERNEL(passed_on),
    KERNEL(intrinsics),     KERNEL(last_one),       {"cleared_and_copied", cleared_and_copied},
    {nullptr, nullptr}};
