// Vectors of numbers as GCC and clang have them, and how many of them fill a register of the
// instruction set: for the objects that are compiled for each of them.
#pragma once

#include <cstdint>
#include <type_traits>
#if defined(__AVX2__)
#include <immintrin.h>  // always inlined, every function: nothing for the linker to share
#endif

#include "fastjag/config.hpp"

namespace fastjag::FASTJAG_ISA {

#if defined(__AVX512F__)
constexpr int register_bytes = 64;
#elif defined(__AVX2__)
constexpr int register_bytes = 32;
#else
constexpr int register_bytes = 16;
#endif

template <class T, int n>
struct VectorOf {
    typedef T type __attribute__((vector_size(n * sizeof(T))));
};
// n numbers.
template <class T, int n>
using Vector = typename VectorOf<T, n>::type;

// The number in a lane of a vector.
template <class V>
using Lane = std::remove_cvref_t<decltype(V{}[0])>;

// Integers of a size in bytes: what comparing numbers of that size gives, 0 or -1.
template <int size>
using Integer = std::conditional_t<
    size == 8, int64_t,
    std::conditional_t<size == 4, int32_t, std::conditional_t<size == 2, int16_t, int8_t>>>;

// As many lanes as one register holds doubles. GCC turns wider vectors into slow scalar code.
constexpr int lanes = register_bytes / 8;
template <class T>
using Lanes = Vector<T, lanes>;
template <class T>
using Mask = Lanes<Integer<sizeof(T)>>;

template <class V>
FASTJAG_HD V load(Lane<V> const* from) {
    V to;
    __builtin_memcpy(&to, from, sizeof to);
    return to;
}

template <class V>
FASTJAG_HD void store(V from, Lane<V>* to) {
    __builtin_memcpy(to, &from, sizeof from);
}

// The same bits in every lane. Not a loop: GCC would blend the lanes in one by one.
template <class V, class X>
FASTJAG_HD V broadcast(X x) {
    using Bits = Integer<sizeof(Lane<V>)>;
    return __builtin_bit_cast(V, Vector<Bits, sizeof(V) / sizeof(Bits)>{} +
                                     __builtin_bit_cast(Bits, static_cast<Lane<V>>(x)));
}

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

}  // namespace fastjag::FASTJAG_ISA
