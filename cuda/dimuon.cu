// dimuon: pairs of particles within each event, and their observables.
//
// Leading pairs: an event is a lane's work, that of all lanes of a warp if it is long, or of all
// blocks if it is huge. All pairs: all_pairs.cuh.
#include "all_pairs.cuh"
#include "events.cuh"
#include "fastjag/dimuon.hpp"
#include "fastjag/select.hpp"
#include "huge.cuh"
#include "observe.cuh"

namespace fastjag {
using namespace FASTJAG_ISA;
namespace {

// ---- the leading pair ------------------------------------------------------------------------

// The two highest pt: ties keep the stored order, NaN comes last. -1: none.
template <class T>
struct Leading {
    int64_t first = -1, second = -1;
    T first_pt = 0, second_pt = 0;

    __device__ void add(int64_t i, T pt) {
        if (i < 0) return;
        if (first < 0 || comes_before(pt, i, first_pt, first)) {
            second = first;
            second_pt = first_pt;
            first = i;
            first_pt = pt;
        } else if (second < 0 || comes_before(pt, i, second_pt, second)) {
            second = i;
            second_pt = pt;
        }
    }
    // Of all lanes of the warp.
    __device__ void merge() {
        for (int lanes = warp_lanes / 2; lanes > 0; lanes /= 2) {
            int64_t const i = __shfl_xor_sync(all_lanes, first, lanes);
            int64_t const j = __shfl_xor_sync(all_lanes, second, lanes);
            T const x = __shfl_xor_sync(all_lanes, first_pt, lanes);
            T const y = __shfl_xor_sync(all_lanes, second_pt, lanes);
            add(i, x);
            add(j, y);
        }
    }
};

// From particles begin, begin + step, ... of an event.
template <class T>
__device__ Leading<T> leading(DimuonArgs<T> const& a, int64_t event, int64_t begin, int64_t step) {
    Leading<T> two;
    for (int64_t i = a.offsets[event] + begin; i < a.offsets[event + 1]; i += step)
        if (passes(a, i)) two.add(i, a.pt[i]);
    return two;
}

template <class T>
__device__ void note_choice(DimuonArgs<T> const& a, Noted const& noted, int64_t event,
                            Leading<T> const& two) {
    bool const found = two.second >= 0 && charges_match(a, two.first, two.second);
    int64_t const first = two.first - a.offsets[event], second = two.second - a.offsets[event];
    uint8_t const choice = found ? static_cast<uint8_t>(encode_pair(first, second)) : uint8_t{0};
    a.pair_offsets[event + 1] = found;
    noted.choice[event] = choice;
    if (choice == does_not_fit)
        noted.pairs[atomicAdd(noted.n_pairs, 1ull)] = {event, two.first, two.second};
}

template <class T>
__global__ void count_leading(DimuonArgs<T> a, Noted noted) {
    if (global_thread() == 0) a.pair_offsets[0] = 0;
    each_event(
        a.n_events, [&](int64_t event) { return long_event(a.offsets, event); },
        [&](int64_t event) { note_choice(a, noted, event, leading(a, event, 0, 1)); },
        [&](int64_t event) {
            if (noted.huge.takes(a.offsets, event)) return;
            Leading<T> two = leading(a, event, lane_index(), warp_lanes);
            two.merge();
            if (lane_index() == 0) note_choice(a, noted, event, two);
        });
}

template <class T>
__global__ void lead_parts(DimuonArgs<T> a, Noted noted) {
    each_part(noted.huge, a.offsets, [&](int64_t part, int64_t event, int64_t begin, int64_t end) {
        Leading<T> two;
        int64_t const start = a.offsets[event];
        for (int64_t i = start + begin + lane_index(); i < start + end; i += warp_lanes)
            if (passes(a, i)) two.add(i, a.pt[i]);
        two.merge();
        if (lane_index() == 0) static_cast<Leading<T>*>(noted.parts)[part] = two;
    });
}

template <class T>
__global__ void join_leading(DimuonArgs<T> a, Noted noted) {
    each_huge(noted.huge, a.offsets, [&](int64_t event, int64_t first_part, int64_t n_parts) {
        Leading<T> const* const parts = static_cast<Leading<T> const*>(noted.parts) + first_part;
        Leading<T> two;
        for (int64_t i = lane_index(); i < n_parts; i += warp_lanes) {
            two.add(parts[i].first, parts[i].first_pt);
            two.add(parts[i].second, parts[i].second_pt);
        }
        two.merge();
        if (lane_index() == 0) note_choice(a, noted, event, two);
    });
}

// ---- observables -----------------------------------------------------------------------------

template <class T>
__global__ void observe_leading(DimuonArgs<T> a, Noted noted) {
    for (int64_t event = global_thread(); event < a.n_events; event += all_threads()) {
        uint8_t const chosen = noted.choice[event];
        if (chosen == 0 || chosen == does_not_fit) continue;
        int64_t const start = a.offsets[event];
        observe(a, a.pair_offsets[event], event, start + first_of(chosen),
                start + second_of(chosen));
    }
    auto const n_pairs = static_cast<int64_t>(*noted.n_pairs);
    for (int64_t i = global_thread(); i < n_pairs; i += all_threads()) {
        Noted::Pair const pair = noted.pairs[i];
        observe(a, a.pair_offsets[pair.event], pair.event, pair.first, pair.second);
    }
}

template <class T>
__global__ void pair_masses(PairMassArgs<T> a) {
    for (int64_t i = global_thread(); i < a.n; i += all_threads()) a.out[i] = pair_mass(a, i);
}

}  // namespace

int64_t dimuon_scratch(int64_t n_events, int64_t n_particles) {
    return Noted::bytes(n_events, n_particles);
}

template <class T>
void dimuon_count(DimuonArgs<T> const& a, Stream stream) {
    static_assert(sizeof(Leading<T>) <= Noted::part_bytes && sizeof(Tally) <= Noted::part_bytes);
    Noted const noted(stream.scratch, a.n_particles);
    clear(noted, stream);
    int64_t const blocks = blocks_for(a.n_events, block_threads);
    bool const leading = a.pairs == Pairs::leading;
    if (leading)
        FASTJAG_LAUNCH(count_leading<T>, blocks, block_threads, 0, stream, a, noted);
    else
        FASTJAG_LAUNCH(count_all<T>, blocks, block_threads, 0, stream, a, noted);
    if (a.n_particles <= huge_event) return;
    int64_t const of_parts =
        blocks_for(Huge::most_parts(a.n_particles) * warp_lanes, block_threads);
    int64_t const of_events = blocks_for(a.n_particles / huge_event * warp_lanes, block_threads);
    if (leading) {
        FASTJAG_LAUNCH(lead_parts<T>, of_parts, block_threads, 0, stream, a, noted);
        FASTJAG_LAUNCH(join_leading<T>, of_events, block_threads, 0, stream, a, noted);
    } else {
        FASTJAG_LAUNCH(tally_parts<T>, of_parts, block_threads, 0, stream, a, noted);
        FASTJAG_LAUNCH(join_tallies<T>, of_events, block_threads, 0, stream, a, noted);
    }
}

template <class T>
void dimuon(DimuonArgs<T> const& a, Stream stream) {
    if (a.n_events == 0) return;
    int64_t const blocks = blocks_for(a.n_events, block_threads);
    if (a.pairs == Pairs::leading)
        FASTJAG_LAUNCH(observe_leading<T>, blocks, block_threads, 0, stream, a,
                       Noted(stream.scratch, a.n_particles));
    else
        FASTJAG_LAUNCH(observe_all<T>, blocks, block_threads, 0, stream, a, stream.changed);
    if (a.pairs == Pairs::all && a.n_particles > most_rows)
        FASTJAG_LAUNCH(observe_strips<T>, every_block, block_threads, 0, stream, a,
                       Noted(stream.scratch, a.n_particles), stream.changed);
}

template <class T>
void pair_mass(PairMassArgs<T> const& a, Stream stream) {
    if (a.n == 0) return;
    FASTJAG_LAUNCH(pair_masses<T>, blocks_for(a.n, block_threads), block_threads, 0, stream, a);
}

#define FASTJAG_DIMUON(T)                                     \
    template void dimuon_count(DimuonArgs<T> const&, Stream); \
    template void dimuon(DimuonArgs<T> const&, Stream);       \
    template void pair_mass(PairMassArgs<T> const&, Stream);
FASTJAG_FOR_FLOAT_TYPES(FASTJAG_DIMUON)

}  // namespace fastjag
