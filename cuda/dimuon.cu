// dimuon: pairs of particles within each event, and their observables.
//
// Leading pairs: an event is a lane's work, that of all lanes of a warp if it is long, or of all
// blocks if it is huge. All pairs: they are spread over the lanes, which find their pair by
// counting charges.
#include "events.cuh"
#include "fastjag/dimuon.hpp"
#include "fastjag/select.hpp"
#include "huge.cuh"
#include "spread.cuh"

namespace fastjag {
using namespace FASTJAG_ISA;
namespace {

template <class T>
__device__ int charge_sign(DimuonArgs<T> const& a, int64_t i) {
    if (a.charge_class == Charge::any) return 0;
    return (a.charge[i] > 0) - (a.charge[i] < 0);
}

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

// What the first pass leaves for the second one, in dimuon_scratch(n_events, n_particles) bytes:
// the chosen pair of each event. Where a byte does not hold it, it stands in a list, so that
// nothing has to be chosen again: the same from inputs that may have changed.
struct Noted {
    struct Pair {
        int64_t event, first, second;
    };
    unsigned long long* n_pairs;  // on the list
    Huge huge;
    void* parts;  // of huge events: Leading or Tally
    Pair* pairs;
    uint8_t* choice;  // of each event

    static constexpr int64_t part_bytes = 32;
    static constexpr int64_t head = 16;

    Noted(void* scratch, int64_t n_particles)
        : n_pairs(static_cast<unsigned long long*>(scratch)),
          huge(static_cast<char*>(scratch) + head) {
        char* const behind = static_cast<char*>(scratch) + head + Huge::bytes(n_particles);
        parts = behind;
        pairs = reinterpret_cast<Pair*>(behind + Huge::most_parts(n_particles) * part_bytes);
        choice = reinterpret_cast<uint8_t*>(pairs + most_pairs(n_particles));
    }
    // Whose second particle is the 16th or a later one.
    static constexpr int64_t most_pairs(int64_t n_particles) { return n_particles / 16; }
    static constexpr int64_t bytes(int64_t n_events, int64_t n_particles) {
        return head + Huge::bytes(n_particles) + Huge::most_parts(n_particles) * part_bytes +
               most_pairs(n_particles) * int64_t{sizeof(Pair)} + n_events;
    }
};

// Both lists are empty.
void clear(Noted const& noted, Stream stream) {
    check(cudaMemsetAsync(noted.n_pairs, 0, Noted::head + Huge::bytes(0),
                          static_cast<cudaStream_t>(stream.handle)),
          "list of pairs", "could not be cleared");
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

// ---- all pairs -------------------------------------------------------------------------------

// How many particles pass, and of which charge.
struct Tally {
    int64_t all = 0, plus = 0, minus = 0;

    __device__ void add(int sign, int64_t times = 1) {
        all += times;
        if (sign > 0) plus += times;
        if (sign < 0) minus += times;
    }
    // Of all lanes of the warp.
    __device__ void merge() {
        for (int lanes = warp_lanes / 2; lanes > 0; lanes /= 2) {
            all += __shfl_xor_sync(all_lanes, all, lanes);
            plus += __shfl_xor_sync(all_lanes, plus, lanes);
            minus += __shfl_xor_sync(all_lanes, minus, lanes);
        }
    }
    // Pairs among them.
    __device__ int64_t pairs(Charge charge) const {
        if (charge == Charge::any) return all * (all - 1) / 2;
        if (charge == Charge::opposite) return plus * minus;
        return (plus * (plus - 1) + minus * (minus - 1)) / 2;
    }
    // How many of them match a particle.
    __device__ int64_t partners(Charge charge, int sign) const {
        if (charge == Charge::any) return all;
        if (sign == 0) return 0;
        return (sign > 0) == (charge == Charge::same) ? plus : minus;
    }
};

template <class T>
__device__ Tally tally(DimuonArgs<T> const& a, int64_t event, int64_t begin, int64_t step) {
    Tally t;
    for (int64_t i = a.offsets[event] + begin; i < a.offsets[event + 1]; i += step)
        if (passes(a, i)) t.add(charge_sign(a, i));
    return t;
}

template <class T>
__global__ void count_all(DimuonArgs<T> a, Noted noted) {
    if (global_thread() == 0) a.pair_offsets[0] = 0;
    each_event(
        a.n_events, [&](int64_t event) { return long_event(a.offsets, event); },
        [&](int64_t event) {
            a.pair_offsets[event + 1] = tally(a, event, 0, 1).pairs(a.charge_class);
        },
        [&](int64_t event) {
            if (noted.huge.takes(a.offsets, event)) return;
            Tally t = tally(a, event, lane_index(), warp_lanes);
            t.merge();
            if (lane_index() == 0) a.pair_offsets[event + 1] = t.pairs(a.charge_class);
        });
}

template <class T>
__global__ void tally_parts(DimuonArgs<T> a, Noted noted) {
    each_part(noted.huge, a.offsets, [&](int64_t part, int64_t event, int64_t begin, int64_t end) {
        Tally t;
        int64_t const start = a.offsets[event];
        for (int64_t i = start + begin + lane_index(); i < start + end; i += warp_lanes)
            if (passes(a, i)) t.add(charge_sign(a, i));
        t.merge();
        if (lane_index() == 0) static_cast<Tally*>(noted.parts)[part] = t;
    });
}

template <class T>
__global__ void join_tallies(DimuonArgs<T> a, Noted noted) {
    each_huge(noted.huge, a.offsets, [&](int64_t event, int64_t first_part, int64_t n_parts) {
        Tally const* const parts = static_cast<Tally const*>(noted.parts) + first_part;
        Tally t;
        for (int64_t i = lane_index(); i < n_parts; i += warp_lanes) {
            t.all += parts[i].all;
            t.plus += parts[i].plus;
            t.minus += parts[i].minus;
        }
        t.merge();
        if (lane_index() == 0) a.pair_offsets[event + 1] = t.pairs(a.charge_class);
    });
}

// ---- observables -----------------------------------------------------------------------------

template <class T>
__device__ Leg leg(DimuonArgs<T> const& a, int64_t i) {
    return {static_cast<double>(a.pt[i]), static_cast<double>(a.eta[i]),
            static_cast<double>(a.phi[i])};
}

// Writes pair (i, j) to place `at`.
template <class T>
__device__ void observe(DimuonArgs<T> const& a, int64_t at, int64_t event, int64_t i, int64_t j) {
    if (a.event) a.event[at] = event;
    if (a.first) a.first[at] = i;
    if (a.second) a.second[at] = j;
    if (a.pair_charge) a.pair_charge[at] = pair_charge(a.charge[i], a.charge[j]);
    Leg const p = leg(a, i), q = leg(a, j);
    double const m = a.particle_mass;
#define FASTJAG_WRITE(column, formula) \
    if (a.column) a.column[at] = static_cast<T>(formula);
    FASTJAG_FOR_OBSERVABLES(FASTJAG_WRITE)
#undef FASTJAG_WRITE
}

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

// Pair k of an event: its row is found by counting who is left to form pairs with. False if there
// are more or fewer pairs than were counted.
template <class T>
__device__ bool observe_pair(DimuonArgs<T> const& a, int64_t event, int64_t k) {
    int64_t const at = a.pair_offsets[event] + k, stop = a.offsets[event + 1];
    Tally rest = tally(a, event, 0, 1);
    if (rest.pairs(a.charge_class) != a.pair_offsets[event + 1] - a.pair_offsets[event])
        return false;
    int64_t i = a.offsets[event];
    for (;; ++i) {
        if (i >= stop) return false;
        if (!passes(a, i)) continue;
        int const sign = charge_sign(a, i);
        rest.add(sign, -1);
        int64_t const row = rest.partners(a.charge_class, sign);
        if (k < row) break;
        k -= row;
    }
    int64_t j = i + 1;
    for (;; ++j) {
        if (j >= stop) return false;
        if (passes(a, j) && charges_match(a, i, j) && k-- == 0) break;
    }
    observe(a, at, event, i, j);
    return true;
}

template <class T>
__global__ void observe_all(DimuonArgs<T> a, int32_t* changed) {
    each_item(
        a.n_events, [&](int64_t event) { return long_event(a.offsets, event); },
        [&](int64_t event) { return a.pair_offsets[event + 1] - a.pair_offsets[event]; },
        [&](int64_t event, int64_t k) {
            if (!observe_pair(a, event, k)) say_changed(changed);
        },
        [&](int64_t event) {
            int64_t const stop = a.offsets[event + 1], limit = a.pair_offsets[event + 1];
            int64_t at = a.pair_offsets[event];
            for (int64_t i = a.offsets[event]; i < stop; ++i) {
                if (!passes(a, i)) continue;
                if (a.charge_class != Charge::any && a.charge[i] == 0) continue;  // has no partner
                for (int64_t row = i + 1; row < stop; row += warp_lanes) {
                    int64_t const j = row + lane_index();
                    bool const match = j < stop && passes(a, j) && charges_match(a, i, j);
                    unsigned const matches = __ballot_sync(all_lanes, match);
                    unsigned const before = matches & ((1u << lane_index()) - 1);
                    if (match && at + __popc(before) < limit)
                        observe(a, at + __popc(before), event, i, j);
                    at += __popc(matches);
                }
            }
            if (lane_index() == 0 && at != limit) say_changed(changed);
        });
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
