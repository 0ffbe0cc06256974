// A few short events at a time: lane l of row k holds particle k of event l, so that what is
// computed per event becomes a vertical loop without a branch on the events' lengths.
#pragma once

#include <cstdint>
#include <type_traits>
#if defined(__AVX2__)
#include <immintrin.h>  // always inlined, every function: nothing for the linker to share
#endif

#include "fastjag/config.hpp"

namespace fastjag::FASTJAG_ISA {

// As many events as one register holds doubles. GCC turns wider vectors into slow scalar code; with
// SSE alone nothing is won, and every event takes the scalar path.
#if defined(__AVX512F__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif
#if defined(__AVX2__)
constexpr bool use_lanes = true;
#else
constexpr bool use_lanes = false;
#endif
constexpr int64_t most_rows = 32;  // longer events are worth a loop of their own

template <class T>
struct LanesOf {
    typedef T type __attribute__((vector_size(lanes * sizeof(T))));
};
template <class T>
using Lanes = typename LanesOf<T>::type;

// What comparing two Lanes<T> gives: 0 or -1 in integers of the same size.
template <class T>
using Mask = decltype(Lanes<T>{} < Lanes<T>{});

template <class To, class From>
FASTJAG_HD To convert(From const& from) {
    return __builtin_convertvector(from, To);
}

// What GCC takes apart into smaller vectors. (maskz: GCC 12 warns about its own plain forms.)
#if defined(__AVX512F__)
template <>
FASTJAG_HD Lanes<double> convert(Lanes<float> const& from) {
    return _mm512_maskz_cvtps_pd(0xff, from);
}
FASTJAG_HD Lanes<double> root(Lanes<double> x) { return _mm512_maskz_sqrt_pd(0xff, x); }
#elif defined(__AVX2__)
FASTJAG_HD Lanes<double> root(Lanes<double> x) { return _mm256_sqrt_pd(x); }
#else
FASTJAG_HD Lanes<double> root(Lanes<double> x) {
    for (int l = 0; l < lanes; ++l) x[l] = __builtin_sqrt(x[l]);
    return x;
}
#endif

// The same number in every lane. Not a loop: GCC would blend the lanes in one by one.
template <class V, class X>
FASTJAG_HD V everywhere(X x) {
    using Lane = std::remove_cvref_t<decltype(V{}[0])>;
    return V{} + static_cast<Lane>(x);
}

template <class T>
FASTJAG_HD Lanes<T> load(T const* from) {
    Lanes<T> to;
    __builtin_memcpy(&to, from, sizeof to);
    return to;
}

template <class T>
FASTJAG_HD void store(Lanes<T> const& from, T* to) {
    __builtin_memcpy(to, &from, sizeof from);
}

// Consecutive events, one per lane. Not usable where one is long or where reading rows would leave
// the content (`last`); the caller then takes them one by one.
struct Group {
    int64_t rows = 0;
    Lanes<int64_t> start, n;
    bool usable;

    FASTJAG_HD Group(int64_t const* offsets, int64_t event, int64_t last) {
        start = load(offsets + event);
        n = load(offsets + event + 1) - start;
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
        store<int64_t>(start + k, at);
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
