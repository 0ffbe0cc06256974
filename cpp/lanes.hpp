// A few short events at a time: lane l of row k holds particle k of event l, so that what is
// computed per event becomes a vertical loop without a branch on the events' lengths.
#pragma once

#include <cstdint>

#include "vectors.hpp"

namespace fastjag::FASTJAG_ISA {

// With SSE alone nothing is won, and every event takes the scalar path.
#if defined(__AVX2__)
constexpr bool use_lanes = true;
#else
constexpr bool use_lanes = false;
#endif
constexpr int64_t most_rows = 32;  // longer events are worth a loop of their own

// Consecutive events, one per lane. Not usable where one is long or where reading rows would leave
// the content (`last`); the caller then takes them one by one.
struct Group {
    int64_t rows = 0;
    Lanes<int64_t> start, n;
    bool usable;

    FASTJAG_HD Group(int64_t const* offsets, int64_t event, int64_t last) {
        start = load<Lanes<int64_t>>(offsets + event);
        n = load<Lanes<int64_t>>(offsets + event + 1) - start;
        for (int l = 0; l < lanes; ++l) rows = larger(rows, n[l]);
        usable = rows <= most_rows && start[lanes - 1] + rows <= last;
    }

    // Row k of a column: particle k of each event, or one of a later event where it has fewer.
    template <class T>
    FASTJAG_HD Lanes<T> row(T const* values, int64_t k) const {
        T const* at = values + k;
        Lanes<T> x;
        for (int l = 0; l < lanes; ++l) x[l] = at[start[l]];
        return x;
    }

    // Particle k[l] of each event l.
    template <class T>
    FASTJAG_HD Lanes<T> particle(T const* values, Lanes<int64_t> k) const {
        int64_t at[lanes];  // in memory: taking a register apart costs more
        store(start + k, at);
        Lanes<T> x;
        for (int l = 0; l < lanes; ++l) x[l] = values[at[l]];
        return x;
    }

    // Which lanes of row k hold a particle of their own event.
    template <class T>
    FASTJAG_HD Mask<T> inside(int64_t k) const {
        return convert<Mask<T>>(n > k);
    }
};

}  // namespace fastjag::FASTJAG_ISA
