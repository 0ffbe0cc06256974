// Rules of `nearest` and `in_cone`, once for host and device. Decisions are made on delta_r^2.
#pragma once

#include <cstdint>

#include "kernels.hpp"
#include "lorentz.hpp"

namespace fastjag::FASTJAG_ISA {

// delta_r^2 for |phi1 - phi2| of angles that are within [-pi, pi]: no more to wrapping than taking
// the shorter way round. For double, or for vectors of it.
template <class V>
FASTJAG_HD V delta_r2(V delta_eta, V one_way) {
    V const other_way = (6.283185307179586 - one_way) + 2.4492935982947064e-16;
    V const delta_phi = other_way < one_way ? other_way : one_way;
    return delta_eta * delta_eta + delta_phi * delta_phi;
}

// The square of the radius of the cone around a left particle, counted from the first one.
template <class T>
FASTJAG_HD double radius2_of(NearestArgs<T> const& a, int64_t left) {
    return square(a.radius ? a.radius[left] : a.one_radius);
}

// Whether particle i at delta_r^2 `x` is nearer than j at `y`; of equals the first one is. For
// numbers, or for vectors of them.
template <class V, class I>
FASTJAG_HD auto is_nearer(V x, I i, V y, I j) {
    return (x < y) | ((x == y) & (i < j));
}

}  // namespace fastjag::FASTJAG_ISA
