// Arithmetic of `padding`, once for host and device.
#pragma once

#include <type_traits>

#include "config.hpp"

namespace fastjag::FASTJAG_ISA {

// The arithmetic type: float only where both ends are float, so that no input loses bits.
template <class In, class Out>
using Compute =
    std::conditional_t<std::is_same_v<In, float> && std::is_same_v<Out, float>, float, double>;

// (x - mean) * scale, clipped to low .. high; NaN compares false and passes through. For numbers,
// or for vectors of them.
template <class V, class C>
FASTJAG_HD V standardise(V x, C mean, C scale, V low, V high) {
    V value = (x - mean) * scale;
    value = value < low ? low : value;
    return value > high ? high : value;
}

}  // namespace fastjag::FASTJAG_ISA
