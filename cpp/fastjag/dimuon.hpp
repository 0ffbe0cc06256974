// Rules of `dimuon`: which particles form a pair, and what is computed of it. Once for host and
// device.
#pragma once

#include <cstdint>

#include "kernels.hpp"
#include "lorentz.hpp"

namespace fastjag::FASTJAG_ISA {

template <class T>
FASTJAG_HD bool passes(DimuonArgs<T> const& a, int64_t i) {
    return !a.mask || a.mask[i];
}

// Whether charges are of opposite sign, or of the same one: zero has none. For numbers, or for
// vectors of them.
template <class V>
FASTJAG_HD auto signs_match(Charge wanted, V p, V q) {
    return (wanted == Charge::opposite ? (p ^ q) < 0 : (p ^ q) >= 0) & (p != 0) & (q != 0);
}

template <class T>
FASTJAG_HD bool charges_match(DimuonArgs<T> const& a, int64_t i, int64_t j) {
    return a.charge_class == Charge::any || signs_match(a.charge_class, a.charge[i], a.charge[j]);
}

// The leading pair of an event in one byte, so that the second pass need not choose again: the
// positions of its particles in the event, in four bits each. 0 is no pair; where a position does
// not fit, the byte says so.
constexpr uint8_t does_not_fit = 255;

// For numbers, or for vectors of them.
template <class V>
FASTJAG_HD V encode_pair(V first, V second) {
    return (first < 15) & (second < 15) ? first | (second << 4) : V{} + does_not_fit;
}
FASTJAG_HD int64_t first_of(uint8_t choice) { return choice & 15; }
FASTJAG_HD int64_t second_of(uint8_t choice) { return choice >> 4; }

FASTJAG_HD int32_t pair_charge(int32_t p, int32_t q) {  // wraps around, as NumPy's sums do
    return static_cast<int32_t>(static_cast<uint32_t>(p) + static_cast<uint32_t>(q));
}

// Every observable of a pair: M(column, formula), where p and q are the legs and m is the mass of
// both particles. A macro, so that on a CPU each is a loop of its own, which vectorises.
#define FASTJAG_FOR_OBSERVABLES(M)      \
    M(mass, invariant_mass(p, q, m, m)) \
    M(pair_pt, pair_pt(p, q))           \
    M(pair_eta, pair_eta(p, q))         \
    M(pair_phi, pair_phi(p, q))         \
    M(delta_r, delta_r(p, q))           \
    M(delta_pt, p.pt - q.pt)            \
    M(delta_eta, p.eta - q.eta)         \
    M(delta_phi, wrap_phi(p.phi - q.phi))

template <class T>
FASTJAG_HD T pair_mass(PairMassArgs<T> const& a, int64_t i) {
    Leg const first{double{a.pt1[i]}, double{a.eta1[i]}, double{a.phi1[i]}};
    Leg const second{double{a.pt2[i]}, double{a.eta2[i]}, double{a.phi2[i]}};
    return static_cast<T>(invariant_mass(first, second, a.mass1, a.mass2));
}

}  // namespace fastjag::FASTJAG_ISA
