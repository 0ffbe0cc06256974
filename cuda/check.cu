// check: whether offsets that a user gives are any, and whether bools are 0 and 1, so that the host
// waits once for all answers.
#include "launch.cuh"

namespace fastjag {
namespace {

__global__ void look_at_offsets(CheckArgs a) {
    if (global_thread() == 0) {
        a.found[0] = a.offsets[0];
        a.found[1] = a.offsets[a.n_events];
    }
    for (int64_t event = global_thread(); event < a.n_events; event += all_threads())
        if (a.offsets[event + 1] < a.offsets[event])
            atomicMax(reinterpret_cast<unsigned long long*>(a.found + 2),
                      static_cast<unsigned long long>(a.n_events - event));
}

__global__ void look_at_bools(uint8_t const* bytes, int64_t n, int64_t* found) {
    for (int64_t i = global_thread(); i < n; i += all_threads())
        if (bytes[i] > 1) atomicMax(reinterpret_cast<unsigned long long*>(found), 1ull);
}

}  // namespace

void check_offsets(CheckArgs const& a, Stream stream) {
    FASTJAG_LAUNCH(look_at_offsets, blocks_for(a.n_events, block_threads), block_threads, 0, stream,
                   a);
}

void check_bools(uint8_t const* bytes, int64_t n, int64_t* found, Stream stream) {
    if (n == 0) return;
    FASTJAG_LAUNCH(look_at_bools, blocks_for(n, block_threads), block_threads, 0, stream, bytes, n,
                   found);
}

}  // namespace fastjag
