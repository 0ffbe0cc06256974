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

}  // namespace

Kernel const clean_kernels[] = {
    KERNEL(doubled),   KERNEL(shuffle_sum),     KERNEL(ballot_compaction), KERNEL(histogram),
    KERNEL(transpose), KERNEL(turned_in_warps), KERNEL(copied_by_four),    {nullptr, nullptr}};
