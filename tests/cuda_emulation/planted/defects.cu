// Defects on purpose, each of which the emulation must find.
#include <cuda_runtime.h>

#include "planted.hpp"

namespace {

constexpr unsigned all_lanes = 0xffffffff;

__device__ int64_t global_thread() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ int64_t all_threads() { return int64_t{gridDim.x} * blockDim.x; }

// ----- races within a block
template <bool First, bool Last>
__global__ void histogram(int const* in, int* out, int64_t n) {
    FASTJAG_SHARED(int, counts);
    for (unsigned bin = threadIdx.x; bin < 64; bin += blockDim.x) counts[bin] = 0;
    if (First) __syncthreads();
    for (int64_t i = global_thread(); i < n; i += all_threads()) atomicAdd(&counts[in[i] & 63], 1);
    if (Last) __syncthreads();
    for (unsigned bin = threadIdx.x; bin < 64; bin += blockDim.x) atomicAdd(&out[bin], counts[bin]);
}

template <bool First, bool Last>
__global__ void transpose(int const* in, int* out, int64_t n) {
    constexpr int side = 32, pitch = side + 1;
    FASTJAG_SHARED(int, tile);
    int const lane = threadIdx.x % side, row = threadIdx.x / side, rows = blockDim.x / side;
    int64_t const tiles = n / side;
    for (int64_t t = blockIdx.x; t < tiles * tiles; t += gridDim.x) {
        int64_t const y = t / tiles * side, x = t % tiles * side;
        for (int r = row; r < side; r += rows) tile[r * pitch + lane] = in[(y + r) * n + x + lane];
        if (First) __syncthreads();
        for (int r = row; r < side; r += rows) out[(x + r) * n + y + lane] = tile[lane * pitch + r];
        if (Last) __syncthreads();
    }
}

__global__ void sum_without_barrier(int const* in, int* out, int64_t) {
    FASTJAG_SHARED(int, sums);
    int x = in[global_thread()];
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(all_lanes, x, step);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = x;
    if (threadIdx.x == 0)
        for (unsigned w = 1; w < blockDim.x / 32; ++w) x += sums[w];
    if (threadIdx.x == 0) out[blockIdx.x] = x;
}

__global__ void turned_without_syncwarp(int const* in, int* out, int64_t) {
    FASTJAG_SHARED(int, values);
    values[threadIdx.x] = in[global_thread()];
    out[global_thread()] = values[threadIdx.x ^ 31];
}

// Shuffles and votes let lanes meet, but order no memory.
__global__ void turned_after_ballot(int const* in, int* out, int64_t) {
    FASTJAG_SHARED(int, values);
    values[threadIdx.x] = in[global_thread()];
    __ballot_sync(all_lanes, true);
    out[global_thread()] = values[threadIdx.x ^ 31];
}

__global__ void store_beside_atomic(int const*, int* out, int64_t) {
    if (threadIdx.x == 7)
        out[blockIdx.x] = 0;
    else
        atomicAdd(&out[blockIdx.x], 1);
}

__global__ void same_value_by_all(int const*, int* out, int64_t) { out[blockIdx.x] = 1; }

// ----- races between blocks
__global__ void blocks_write_one_place(int const*, int* out, int64_t) {
    if (threadIdx.x == 0) out[0] = 1;
}

__global__ void block_reads_what_another_writes(int const* in, int* out, int64_t) {
    if (threadIdx.x != 0) return;
    out[blockIdx.x] = in[blockIdx.x] + out[(blockIdx.x + 1) % gridDim.x];
}

__global__ void block_stores_beside_atomic(int const*, int* out, int64_t) {
    if (threadIdx.x != 0) return;
    if (blockIdx.x == 0)
        out[0] = 0;
    else
        atomicAdd(&out[0], 1);
}

// ----- addresses
__global__ void reads_behind(int const* in, int* out, int64_t n) {
    for (int64_t i = global_thread(); i < n; i += all_threads()) out[i] = in[i + 1];
}
__global__ void reads_before(int const* in, int* out, int64_t n) {
    for (int64_t i = global_thread(); i < n; i += all_threads()) out[i] = in[i - 1];
}
__global__ void writes_behind(int const* in, int* out, int64_t n) {
    for (int64_t i = global_thread(); i <= n; i += all_threads()) out[i] = i < n ? in[i] : 0;
}
__global__ void atomic_behind(int const*, int* out, int64_t n) { atomicAdd(&out[n], 1); }
__global__ void reads_behind_shared(int const*, int* out, int64_t) {
    FASTJAG_SHARED(int, values);
    values[threadIdx.x] = 1;
    __syncthreads();
    out[global_thread()] = values[threadIdx.x + 1];
}
__global__ void misaligned(int const* in, int* out, int64_t) {
    if (global_thread() == 0) out[0] = reinterpret_cast<int4 const*>(in + 2)->x;
}
__global__ void index_of_local_array(int const* in, int* out, int64_t n) {
    int own[4] = {};
    for (int i = 0; i <= n; ++i) own[i] = in[i];  // n is 4
    if (global_thread() == 0) out[0] = own[in[0] & 3];
}
__global__ void reads_unwritten_shared(int const*, int* out, int64_t) {
    FASTJAG_SHARED(int, values);
    if (threadIdx.x % 2) values[threadIdx.x] = 1;
    out[global_thread()] = values[threadIdx.x];
}
__global__ void leaves_one_out(int const* in, int* out, int64_t n) {
    for (int64_t i = global_thread(); i < n; i += all_threads())
        if (i != n / 2) out[i] = in[i];
}

// ----- barriers and warps
__global__ void divergent_barrier(int const*, int*, int64_t) {
    // clang-format off
    if (threadIdx.x < 32) { __syncthreads(); } else { __syncthreads(); }
    // clang-format on
}
__global__ void barrier_after_exit(int const*, int*, int64_t) {
    if (threadIdx.x == 40) return;
    __syncthreads();
}
__global__ void half_at_a_barrier(int const*, int*, int64_t) {
    if (threadIdx.x % 2)
        __syncthreads();
    else
        __syncwarp();
}
__global__ void absent_lanes(int const*, int* out, int64_t) {  // with 16 threads
    out[threadIdx.x] = __shfl_sync(all_lanes, 1, 0);
}
__global__ void exited_lanes(int const*, int* out, int64_t) {
    if (threadIdx.x % 32 == 5) return;
    out[global_thread()] = __shfl_down_sync(all_lanes, 1, 1);
}
__global__ void mask_without_caller(int const*, int*, int64_t) { __syncwarp(0xffff); }
__global__ void divergent_warp(int const*, int* out, int64_t) {
    out[global_thread()] =
        threadIdx.x % 2 ? __shfl_sync(all_lanes, 1, 0) : __shfl_sync(all_lanes, 2, 0);
}
__global__ void shuffle_from_outside(int const*, int* out, int64_t) {
    if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0xffff, 1, 20);
}

// ----- slow, but not wrong
__global__ void strided(int const* in, int* out, int64_t n) {
    out[global_thread()] = in[global_thread() * 32 % n];
}
__global__ void conflicts(int const* in, int* out, int64_t) {  // one warp, 4 KiB
    FASTJAG_SHARED(int, tile);
    for (int r = 0; r < 32; ++r) tile[r * 32 + threadIdx.x] = in[threadIdx.x];
    __syncwarp();
    out[threadIdx.x] = tile[threadIdx.x * 32];
}

}  // namespace

Kernel const defective_kernels[] = {
    {"histogram_without_first_barrier",
     [](Launch const& l) {
         FASTJAG_LAUNCH((histogram<false, true>), l.blocks, l.threads, l.shared_bytes, nullptr,
                        l.in, l.out, l.n);
     }},
    {"histogram_without_last_barrier",
     [](Launch const& l) {
         FASTJAG_LAUNCH((histogram<true, false>), l.blocks, l.threads, l.shared_bytes, nullptr,
                        l.in, l.out, l.n);
     }},
    {"transpose_without_first_barrier",
     [](Launch const& l) {
         FASTJAG_LAUNCH((transpose<false, true>), l.blocks, l.threads, l.shared_bytes, nullptr,
                        l.in, l.out, l.n);
     }},
    {"transpose_without_last_barrier",
     [](Launch const& l) {
         FASTJAG_LAUNCH((transpose<true, false>), l.blocks, l.threads, l.shared_bytes, nullptr,
                        l.in, l.out, l.n);
     }},
    KERNEL(sum_without_barrier),
    KERNEL(turned_without_syncwarp),
    KERNEL(turned_after_ballot),
    KERNEL(store_beside_atomic),
    KERNEL(same_value_by_all),
    KERNEL(blocks_write_one_place),
    KERNEL(block_reads_what_another_writes),
    KERNEL(block_stores_beside_atomic),
    KERNEL(reads_behind),
    KERNEL(reads_before),
    KERNEL(writes_behind),
    KERNEL(atomic_behind),
    KERNEL(reads_behind_shared),
    KERNEL(misaligned),
    KERNEL(index_of_local_array),
    KERNEL(reads_unwritten_shared),
    KERNEL(leaves_one_out),
    KERNEL(divergent_barrier),
    KERNEL(barrier_after_exit),
    KERNEL(half_at_a_barrier),
    KERNEL(absent_lanes),
    KERNEL(exited_lanes),
    KERNEL(mask_without_caller),
    KERNEL(divergent_warp),
    KERNEL(shuffle_from_outside),
    KERNEL(strided),
    KERNEL(conflicts),
    {nullptr, nullptr}};
