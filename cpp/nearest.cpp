// nearest: for each left particle the nearest right particle of its event, or all within a cone.
//
// The lanes of a vector are consecutive right particles, loaded once for up to four left particles.
// Decisions are made on delta_r^2; only what is written out takes a square root.
#include "fastjag/nearest.hpp"

#include "dispatch.hpp"
#include "vectors.hpp"

namespace fastjag::FASTJAG_ISA {
namespace {

using Doubles = Lanes<double>;
using Integers = Lanes<int64_t>;

FASTJAG_HD Integers count_up_from(int64_t j) {
    Integers lane;
    for (int k = 0; k < lanes; ++k) lane[k] = k;
    return lane + j;
}

// One bit for each lane, `flag_spacing` apart.
#if defined(__AVX2__) && !defined(__AVX512F__)
constexpr int flag_spacing = 1;
FASTJAG_HD uint64_t flag_lanes(Integers mask) {
    return static_cast<uint64_t>(__builtin_ia32_movmskpd256((Doubles)mask));
}
#else
constexpr int flag_spacing = 8;
FASTJAG_HD uint64_t flag_lanes(Integers mask) {
    auto const bytes = convert<Lanes<int8_t>>(mask) & 1;
    uint64_t flags = 0;
    __builtin_memcpy(&flags, &bytes, sizeof bytes);
    return flags;
}
#endif

// Entries j, j + 1, ... of a column; in place of those at `end` and beyond, the last one.
template <class T>
FASTJAG_HD Doubles load_right(T const* values, int64_t j, int64_t end) {
    Lanes<T> x;
    if (j + lanes <= end)
        x = load<Lanes<T>>(values + j);
    else
        for (int k = 0; k < lanes; ++k) x[k] = values[smaller(j + k, end - 1)];
    return convert<Doubles>(x);
}

// Calls visit(l, j, delta_r^2 of left particle i + l to the right particles j, j + 1, ...), for l
// below L and j from `first` in steps of `lanes`. From `last` on the distances are NaN.
template <int L, class T, class Visit>
FASTJAG_HD void visit_right(NearestArgs<T> const& a, int64_t i, int64_t first, int64_t last,
                            Visit const& visit) {
    int64_t const end = a.right_offsets[a.n_events];
    double left_eta[L], left_phi[L];
    for (int l = 0; l < L; ++l) {
        left_eta[l] = static_cast<double>(a.left_eta[i + l]);
        left_phi[l] = wrap_phi(static_cast<double>(a.left_phi[i + l]));
    }
    for (int64_t j = first; j < last; j += lanes) {
        Doubles eta = load_right(a.right_eta, j, end);
        Doubles const phi = wrap_phi(load_right(a.right_phi, j, end));
        if (j + lanes > last) eta = count_up_from(j) < last ? eta : Doubles{} + __builtin_nan("");
#pragma GCC unroll 4
        for (int l = 0; l < L; ++l) {
            Integers const sign_off = (Integers)(left_phi[l] - phi) & 0x7fffffffffffffff;
            visit(l, j, delta_r2(left_eta[l] - eta, (Doubles)sign_off));
        }
    }
}

// What is done with the distances of left particles i .. i + L - 1: run<L>(i, first, last).

template <class T>
struct Nearest {
    NearestArgs<T> const& a;

    template <int L>
    void run(int64_t i, int64_t first, int64_t last) const {
        Doubles nearest[L];
        Integers at[L];
        for (int l = 0; l < L; ++l) {
            nearest[l] = Doubles{} + infinity;
            at[l] = ~Integers{};  // -1: none
        }
        visit_right<L>(a, i, first, last, [&](int l, int64_t j, Doubles distance2) {
            Integers const nearer = distance2 < nearest[l];
            nearest[l] = nearer ? distance2 : nearest[l];
            at[l] = nearer ? count_up_from(j) : at[l];
        });
        for (int l = 0; l < L; ++l) write(i + l, nearest[l], at[l]);
    }

    // The best lane, of equals the earliest particle: halves are compared until one is left.
    FASTJAG_HD void write(int64_t i, Doubles nearest, Integers at) const {
#pragma GCC unroll 3
        for (int half = lanes / 2; half > 0; half /= 2) {
            Integers const partner = count_up_from(0) ^ int64_t { half };
            Doubles const other = __builtin_shuffle(nearest, partner);
            Integers const other_at = __builtin_shuffle(at, partner);
            Integers const better = is_nearer(other, other_at, nearest, at);
            nearest = better ? other : nearest;
            at = better ? other_at : at;
        }
        a.index[i - a.left_offsets[0]] = at[0];
        a.delta_r[i - a.left_offsets[0]] = static_cast<T>(std::sqrt(nearest[0]));
    }
};

template <class T>
struct CountInCone {
    NearestArgs<T> const& a;

    template <int L>
    void run(int64_t i, int64_t first, int64_t last) const {
        int64_t const at = i - a.left_offsets[0];
        Integers inside[L]{};
        visit_right<L>(a, i, first, last, [&](int l, int64_t, Doubles distance2) {
            inside[l] -= distance2 < radius2_of(a, at + l);
        });
        for (int l = 0; l < L; ++l) {
            int64_t n = 0;
            for (int k = 0; k < lanes; ++k) n += inside[l][k];
            a.pair_offsets[at + l + 1] = n;
        }
    }
};

template <class T>
struct FillInCone {
    NearestArgs<T> const& a;

    // Never more than were counted for a particle. False: not as many.
    bool* as_counted;

    template <int L>
    void run(int64_t i, int64_t first, int64_t last) const {
        int64_t const at = i - a.left_offsets[0];
        int64_t to[L];
        for (int l = 0; l < L; ++l) to[l] = a.pair_offsets[at + l];
        visit_right<L>(a, i, first, last, [&](int l, int64_t j, Doubles distance2) {
            uint64_t flags = flag_lanes(distance2 < radius2_of(a, at + l));  // mostly none
            for (; flags; flags &= flags - 1) {
                if (to[l] == a.pair_offsets[at + l + 1]) {
                    *as_counted = false;
                    return;
                }
                int const k = __builtin_ctzll(flags) / flag_spacing;
                a.index[to[l]] = j + k;
                a.delta_r[to[l]] = static_cast<T>(std::sqrt(distance2[k]));
                ++to[l];
            }
        });
        for (int l = 0; l < L; ++l)
            if (to[l] != a.pair_offsets[at + l + 1]) *as_counted = false;
    }
};

constexpr int64_t most_pairs = int64_t{1} << 23;  // between two looks whether to stop

template <class T, class Body>
void for_left_particles(NearestArgs<T> const& a, int64_t begin, int64_t end, Interrupt* interrupt,
                        Body const& body) {
    int64_t since = 0;
    for (int64_t event = begin; event < end; ++event) {
        int64_t const first = a.right_offsets[event], last = a.right_offsets[event + 1];
        int64_t i = a.left_offsets[event];
        int64_t const stop = a.left_offsets[event + 1];
        bool const long_event = (stop - i) * (last - first) > most_pairs;
        if (!long_event) since += (stop - i) * (last - first);
        for (; i + 4 <= stop; i += 4) {
            body.template run<4>(i, first, last);
            if (!long_event || (since += 4 * (last - first)) < most_pairs) continue;
            if (must_stop(interrupt)) return;
            since = 0;
        }
        for (; i + 2 <= stop; i += 2) body.template run<2>(i, first, last);
        if (i < stop) body.template run<1>(i, first, last);
        if (since < most_pairs) continue;
        if (must_stop(interrupt)) return;
        since = 0;
    }
}

}  // namespace

template <class T>
void nearest_range(NearestArgs<T> const& a, int64_t begin, int64_t end, Interrupt* interrupt) {
    for_left_particles(a, begin, end, interrupt, Nearest<T>{a});
}

template <class T>
void in_cone_count_range(NearestArgs<T> const& a, int64_t begin, int64_t end,
                         Interrupt* interrupt) {
    for_left_particles(a, begin, end, interrupt, CountInCone<T>{a});
}

template <class T>
bool in_cone_range(NearestArgs<T> const& a, int64_t begin, int64_t end, Interrupt* interrupt) {
    bool as_counted = true;
    for_left_particles(a, begin, end, interrupt, FillInCone<T>{a, &as_counted});
    return as_counted;
}

#define FASTJAG_NEAREST(T)                                                                  \
    template void nearest_range(NearestArgs<T> const&, int64_t, int64_t, Interrupt*);       \
    template void in_cone_count_range(NearestArgs<T> const&, int64_t, int64_t, Interrupt*); \
    template bool in_cone_range(NearestArgs<T> const&, int64_t, int64_t, Interrupt*);
FASTJAG_FOR_FLOAT_TYPES(FASTJAG_NEAREST)

}  // namespace fastjag::FASTJAG_ISA
