// nearest: for each left particle the nearest right particle of its event, or all within a cone.
//
// A lane has a left particle and goes through the right ones, which its neighbours mostly share.
// Where they are very many, all lanes of a warp go through them together, and warps of all blocks
// share the left particles. Decisions are made on delta_r^2; only what is written takes a square
// root.
#include "fastjag/nearest.hpp"
#include "huge.cuh"
#include "spread.cuh"

namespace fastjag {
using namespace FASTJAG_ISA;
namespace {

constexpr int64_t many_right = 1024;
constexpr int64_t few_right = 64;  // in_cone: as many as a word has bits

// delta_r^2 of left particle i, whose phi is wrapped already, to right particle j.
template <class T>
__device__ double distance2_of(NearestArgs<T> const& a, double eta, double phi, int64_t j) {
    double const one_way = std::fabs(phi - wrap_phi(static_cast<double>(a.right_phi[j])));
    return delta_r2(eta - static_cast<double>(a.right_eta[j]), one_way);
}
template <class T>
__device__ double distance2_of(NearestArgs<T> const& a, int64_t i, int64_t j) {
    return distance2_of(a, static_cast<double>(a.left_eta[i]),
                        wrap_phi(static_cast<double>(a.left_phi[i])), j);
}

// Calls visit(j, delta_r^2 of left particle i to right particle j): for every j of the event if
// Lanes is 1; for every 32nd if Lanes is 32, where distances are NaN behind the last one, so that
// lanes stay together.
template <int64_t Lanes, class T, class Visit>
__device__ void visit_right(NearestArgs<T> const& a, int64_t event, int64_t i, Visit visit) {
    double const eta = static_cast<double>(a.left_eta[i]);
    double const phi = wrap_phi(static_cast<double>(a.left_phi[i]));
    int64_t const stop = a.right_offsets[event + 1];
    for (int64_t row = a.right_offsets[event]; row < stop; row += Lanes) {
        int64_t const j = Lanes == 1 ? row : row + lane_index();
        double distance2 = __builtin_nan("");
        if (Lanes == 1 || j < stop) distance2 = distance2_of(a, eta, phi, j);
        visit(j, distance2);
    }
}

template <class T>
__device__ int64_t left_particles(NearestArgs<T> const& a, int64_t event) {
    return a.left_offsets[event + 1] - a.left_offsets[event];
}

// What is done for one left particle: run<Lanes>(event, i).

template <class T>
struct Nearest {
    static constexpr bool counts = false;
    NearestArgs<T> const& a;
    int32_t* changed;  // never
    uint64_t* inside;  // nor this

    template <int64_t Lanes>
    __device__ void run(int64_t event, int64_t i) const {
        double nearest = infinity;
        int64_t at = -1;
        visit_right<Lanes>(a, event, i, [&](int64_t j, double distance2) {
            if (distance2 < nearest) {
                nearest = distance2;
                at = j;
            }
        });
        for (int lanes = Lanes / 2; lanes > 0; lanes /= 2) {  // of equals the first
            double const other = __shfl_xor_sync(all_lanes, nearest, lanes);
            int64_t const other_at = __shfl_xor_sync(all_lanes, at, lanes);
            if (is_nearer(other, other_at, nearest, at)) {
                nearest = other;
                at = other_at;
            }
        }
        if (Lanes == 1 || lane_index() == 0) {
            a.index[i - a.left_offsets[0]] = at;
            a.delta_r[i - a.left_offsets[0]] = static_cast<T>(std::sqrt(nearest));
        }
    }
};

// Where right particles are few, who is in the cone is a bit, and the second pass looks at nothing
// else. Otherwise it calculates distances again, and the first one says so.
template <class T>
struct CountInCone {
    static constexpr bool counts = true;
    NearestArgs<T> const& a;
    int32_t* changed;
    uint64_t* inside;

    template <int64_t Lanes>
    __device__ void run(int64_t event, int64_t i) const {
        int64_t const left = i - a.left_offsets[0];
        double const radius2 = radius2_of(a, left);
        int64_t n = 0;
        uint64_t bits = 0, next = 1;  // no bit, once there are more than 64
        visit_right<Lanes>(a, event, i, [&](int64_t, double distance2) {
            bool const is_inside = distance2 < radius2;
            n += is_inside;
            if (is_inside) bits |= next;
            next <<= 1;
        });
        for (int lanes = Lanes / 2; lanes > 0; lanes /= 2)
            n += __shfl_xor_sync(all_lanes, n, lanes);
        if (Lanes > 1 && lane_index() > 0) return;
        a.pair_offsets[left + 1] = n;
        inside[left] = bits;
        if (a.right_offsets[event + 1] - a.right_offsets[event] > few_right) say_changed(changed);
    }
};

template <class T>
struct FillInCone {
    static constexpr bool counts = false;
    NearestArgs<T> const& a;
    int32_t* changed;
    uint64_t* inside;

    template <int64_t Lanes>
    __device__ void run(int64_t event, int64_t i) const {
        int64_t const left = i - a.left_offsets[0], first = a.right_offsets[event];
        int64_t at = a.pair_offsets[left];
        if (Lanes == 1 && a.right_offsets[event + 1] - first <= few_right) {
            for (uint64_t rest = inside[left]; rest; rest &= rest - 1, ++at) {
                int64_t const j = first + __ffsll(static_cast<long long>(rest)) - 1;
                a.index[at] = j;
                a.delta_r[at] = static_cast<T>(std::sqrt(distance2_of(a, i, j)));
            }
            return;
        }
        double const radius2 = radius2_of(a, left);
        int64_t const limit = a.pair_offsets[left + 1];
        visit_right<Lanes>(a, event, i, [&](int64_t j, double distance2) {
            bool const is_inside = distance2 < radius2;
            unsigned others = is_inside, before = 0;
            if constexpr (Lanes > 1) {
                others = __ballot_sync(all_lanes, is_inside);
                before = others & ((1u << lane_index()) - 1);
            }
            int64_t const to = at + __popc(before);
            if (is_inside && to < limit) {
                a.index[to] = j;
                a.delta_r[to] = static_cast<T>(std::sqrt(distance2));
            }
            at += __popc(others);
        });
        if ((Lanes == 1 || lane_index() == 0) && at != limit) say_changed(changed);
    }
};

// Finds: puts events with many right particles on the list, for each_of_many.
template <class T, template <class> class Work, bool finds>
__global__ void each_left(NearestArgs<T> a, int32_t* changed, uint64_t* inside, List many) {
    Work<T> const work{a, changed, inside};
    if (work.counts && global_thread() == 0) a.pair_offsets[0] = 0;
    each_item(
        a.n_events,
        [&](int64_t event) {
            return a.right_offsets[event + 1] - a.right_offsets[event] > many_right;
        },
        [&](int64_t event) { return left_particles(a, event); },
        [&](int64_t event, int64_t k) { work.template run<1>(event, a.left_offsets[event] + k); },
        [&](int64_t event) {
            if (finds && lane_index() == 0) many.add(event, left_particles(a, event));
        });
}

template <class T, template <class> class Work>
__global__ void each_of_many(NearestArgs<T> a, int32_t* changed, uint64_t* inside, List many) {
    Work<T> const work{a, changed, inside};
    each_of(
        many, [&](int64_t event) { return left_particles(a, event); },
        [&](List::Event const& event, int64_t k) {
            work.template run<warp_lanes>(event.number, a.left_offsets[event.number] + k);
        });
}

// Scratch: the list, then what is inside of cones.
template <template <class> class Work, bool finds, class T>
void launch_left(NearestArgs<T> const& a, Stream stream) {
    List const many = list_in(stream.scratch);
    if (finds) clear(many, stream);
    auto* const inside = reinterpret_cast<uint64_t*>(static_cast<char*>(stream.scratch) +
                                                     nearest_scratch(a.n_right));
    FASTJAG_LAUNCH((each_left<T, Work, finds>), blocks_for(a.n_events, block_threads),
                   block_threads, 0, stream, a, stream.changed, inside, many);
    if (a.n_right > many_right)
        FASTJAG_LAUNCH((each_of_many<T, Work>), every_block, block_threads, 0, stream, a,
                       stream.changed, inside, many);
}

}  // namespace

int64_t nearest_scratch(int64_t n_right) { return List::bytes(n_right / many_right); }
int64_t in_cone_scratch(int64_t n_left, int64_t n_right) {
    return nearest_scratch(n_right) + n_left * int64_t{sizeof(uint64_t)};
}

template <class T>
void nearest(NearestArgs<T> const& a, Stream stream) {
    if (a.n_events > 0) launch_left<Nearest, true>(a, stream);
}

template <class T>
void in_cone_count(NearestArgs<T> const& a, Stream stream) {
    launch_left<CountInCone, true>(a, stream);
}

template <class T>
void in_cone(NearestArgs<T> const& a, Stream stream) {
    if (a.n_events > 0) launch_left<FillInCone, false>(a, stream);
}

#define FASTJAG_NEAREST(T)                                      \
    template void nearest(NearestArgs<T> const&, Stream);       \
    template void in_cone_count(NearestArgs<T> const&, Stream); \
    template void in_cone(NearestArgs<T> const&, Stream);
FASTJAG_FOR_FLOAT_TYPES(FASTJAG_NEAREST)

}  // namespace fastjag
