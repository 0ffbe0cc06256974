// Rules of `aggregate`, once for host and device.
#pragma once

#include <cstdint>
#include <type_traits>

#include "config.hpp"

namespace fastjag::FASTJAG_ISA {

template <class T>
using Sum = std::conditional_t<std::is_floating_point_v<T>, double,
                               std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;
// Integers wrap around on overflow, as NumPy's do: add as unsigned.
template <class T>
using Accumulator = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;

// Whether x takes the place of the extreme value before it, as NumPy has it: one NaN makes it NaN;
// the position is that of the first. For numbers, or for vectors of them.
template <bool largest, class V>
FASTJAG_HD auto replaces(V x, V best) {
    return (largest ? x > best : x < best) | ((x != x) & (best == best));
}

// The extreme value of no particles.
template <class T>
FASTJAG_HD constexpr T empty_extreme() {
    if constexpr (std::is_floating_point_v<T>)
        return static_cast<T>(__builtin_nan(""));
    else
        return 0;
}

}  // namespace fastjag::FASTJAG_ISA
