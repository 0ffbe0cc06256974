// Kinematics of particle pairs, written once for host and device.
//
// All arithmetic is double whatever the column type: float inputs are exact in double, and the
// differences that matter here (delta_phi near pi, small masses) cancel in float.
//
// The elementary functions are our own because they must be free of branches and calls, so that
// the compiler vectorises the loops that use them; glibc's versions only vectorise under
// -ffast-math, which we refuse. Coefficients: Chebyshev fits by mpmath.chebyfit with 40 digits;
// relative error of each fit below 1e-17, of each function a few 1e-16
// (tests/kernels/test_dimuon.py). NaN in gives NaN out everywhere.
#pragma once

#include <cmath>
#include <cstdint>

#include "config.hpp"

namespace fastjag::FASTJAG_ISA {

constexpr double pi = 3.141592653589793;
constexpr double infinity = __builtin_huge_val();

// Estrin or Horner makes no difference to the accuracy at these sizes; Horner is the shortest.
template <int N>
FASTJAG_HD double polynomial(double x, double const (&c)[N]) {
    double sum = c[N - 1];
    for (int i = N - 2; i >= 0; --i) sum = sum * x + c[i];
    return sum;
}

FASTJAG_HD double from_bits(uint64_t bits) { return __builtin_bit_cast(double, bits); }
FASTJAG_HD uint64_t to_bits(double x) { return __builtin_bit_cast(uint64_t, x); }

// Adding 1.5 * 2^52 rounds |x| < 2^51 to an integer, which then sits in the low mantissa bits.
constexpr double rounder = 6755399441055744.0;

FASTJAG_HD double exp_(double x) {
    constexpr double c[] = {1.0,
                            1.0,
                            0.5,
                            0.16666666666666702,
                            0.04166666666666669,
                            0.008333333333309509,
                            0.0013888888888871874,
                            0.00019841269909257902,
                            2.480158735013993e-05,
                            2.755722492065214e-06,
                            2.7557251877225084e-07,
                            2.511488209588034e-08,
                            2.092158893897149e-09};
    double bounded = x < -708.0 ? -708.0 : x;
    bounded = bounded > 709.0 ? 709.0 : bounded;
    double const shifted = bounded * 1.4426950408889634 + rounder;
    double const k = shifted - rounder;
    double const r = (bounded - k * 0.6931471803691238) - k * 1.9082149292705877e-10;
    double const scale = from_bits((to_bits(shifted) << 52) + (uint64_t{1023} << 52));
    double const result = polynomial(r, c) * scale;
    return x > 709.0 ? infinity : result;
}

FASTJAG_HD double sinh_(double x) {
    constexpr double c[] = {1.0,
                            0.16666666666666669,
                            0.0083333333333331,
                            0.00019841269841456446,
                            2.7557319150704892e-06,
                            2.5052124008953335e-08,
                            1.6057199454179518e-10,
                            7.760406418336239e-13};
    double const e = exp_(std::fabs(x));
    double const large = std::copysign(0.5 * (e - 1.0 / e), x);
    double const small = x * polynomial(x * x, c);  // fitted for |x| < 1
    return std::fabs(x) < 1.0 ? small : large;
}

FASTJAG_HD double cosh_(double x) {
    double const e = exp_(std::fabs(x));
    return 0.5 * (e + 1.0 / e);
}

// sin(x) for |x| <= pi / 2.
FASTJAG_HD double sin_quarter(double x) {
    constexpr double c[] = {1.0,
                            -0.16666666666666666,
                            0.008333333333333186,
                            -0.00019841269841208676,
                            2.7557319211229606e-06,
                            -2.505210689056952e-08,
                            1.605894087848656e-10,
                            -7.643026557971632e-13,
                            2.7215749422983443e-15};
    return x * polynomial(x * x, c);
}

// cos(x) for |x| <= pi / 2, relatively exact down to the zero at pi / 2 (two-part constant).
FASTJAG_HD double cos_quarter(double x) {
    return sin_quarter((1.5707963267948966 - std::fabs(x)) + 6.123233995736766e-17);
}

// log(1 + y) for y >= 0, relatively exact for small y.
FASTJAG_HD double log1p_(double y) {
    constexpr double c[] = {1.0,
                            0.3333333333333333,
                            0.20000000000003773,
                            0.14285714284401557,
                            0.11111111339630612,
                            0.09090886777460622,
                            0.07693584421520037,
                            0.06624292878278355,
                            0.06631854983611397};
    double const u = 1.0 + y;
    uint64_t const bits = to_bits(u);
    // Mantissa m in [sqrt(1/2), sqrt(2)): subtracting the bits of sqrt(1/2) moves the exponent up.
    uint64_t const exponent = (bits - 0x3fe6a09e667f3bcd) >> 52;
    double const m = from_bits(bits - (exponent << 52));
    double const k = from_bits(exponent + to_bits(rounder)) - rounder;  // int to double, in lanes
    double const s = (m - 1.0) / (m + 1.0);
    double const log_m = 2.0 * s * polynomial(s * s, c);
    double const rounding = (y - (u - 1.0)) / u;  // what 1 + y lost
    double const result =
        k * 0.6931471803691238 + (log_m + (k * 1.9082149292705877e-10 + rounding));
    return u <= 1.7976931348623157e308 ? result : u;  // inf and NaN as they came
}

FASTJAG_HD double asinh_(double x) {
    double const a = std::fabs(x);
    double const small = a + a * (a / (1.0 + std::sqrt(1.0 + a * a)));
    double const y = a > 1e8 ? 2.0 * a - 1.0 : small;  // a * a would overflow
    return std::copysign(log1p_(y), x);
}

FASTJAG_HD double atan2_(double y, double x) {
    constexpr double c[] = {1.0,
                            -0.33333333333333326,
                            0.19999999999996984,
                            -0.142857142853262,
                            0.1111111108511275,
                            -0.09090908051683606,
                            0.07692280936984261,
                            -0.06666202887746199,
                            0.05876811026121022,
                            -0.052171658995952996,
                            0.04498908246781451,
                            -0.03337410224289962,
                            0.015099884864821963};
    double const a = std::fabs(y), b = std::fabs(x);
    double const high = a > b ? a : b;
    double const low = a > b ? b : a;
    // tan(t - pi/4) = (tan t - 1) / (tan t + 1) halves the range above tan(pi/8).
    bool const steep = low > 0.41421356237309503 * high;
    double const numerator = steep ? low - high : low;
    double const denominator = steep ? low + high : high;
    double const z = numerator / (denominator > 0.0 ? denominator : 1.0);
    double angle = z * polynomial(z * z, c);
    angle = steep ? angle + 0.7853981633974483 : angle;
    angle = a > b ? 1.5707963267948966 - angle : angle;
    angle = x < 0.0 ? pi - angle : angle;
    angle = std::copysign(angle, y);
    return (x != x || y != y) ? x + y : angle;
}

// phi1 - phi2 wrapped into [-pi, pi]; for double, or for vectors of it.
template <class V>
FASTJAG_HD V wrap_phi(V d) {
    V const turns = (d * 0.15915494309189535 + rounder) - rounder;
    return (d - turns * 6.283185307179586) - turns * 2.4492935982947064e-16;
}

FASTJAG_HD double square(double x) { return x * x; }

struct Leg {
    double pt, eta, phi;
};

// Invariant mass in a form that does not cancel (docs/physics.md derives it):
//   M^2 = m1^2 + m2^2 + 2 (m1^2 m2^2 + m1^2 P2^2 + m2^2 P1^2) / (E1 E2 + P1 P2)
//         + 4 pt1 pt2 [sinh^2(delta_eta / 2) + sin^2(delta_phi / 2)],   P = pt cosh(eta).
FASTJAG_HD double invariant_mass(Leg const& a, Leg const& b, double m1, double m2) {
    double const p1 = square(a.pt * cosh_(a.eta)), p2 = square(b.pt * cosh_(b.eta));
    double const q1 = m1 * m1, q2 = m2 * m2;
    double const denominator = std::sqrt((q1 + p1) * (q2 + p2)) + std::sqrt(p1 * p2);
    double const cross = q1 * q2 + q1 * p2 + q2 * p1;
    double const massive = denominator == 0.0 ? 0.0 : 2.0 * (cross / denominator);
    double const opening =
        square(sinh_(0.5 * (a.eta - b.eta))) + square(sin_quarter(0.5 * wrap_phi(a.phi - b.phi)));
    return std::sqrt(q1 + q2 + massive + 4.0 * a.pt * b.pt * opening);
}

// |pt1 + pt2| as vectors, without the cancellation of back-to-back pairs.
FASTJAG_HD double pair_pt(Leg const& a, Leg const& b) {
    double const c = cos_quarter(0.5 * wrap_phi(a.phi - b.phi));
    return std::sqrt(square(a.pt - b.pt) + 4.0 * a.pt * b.pt * square(c));
}

FASTJAG_HD double pair_eta(Leg const& a, Leg const& b) {
    double const pz = a.pt * sinh_(a.eta) + b.pt * sinh_(b.eta);
    double const pt = pair_pt(a, b);
    return asinh_(pz == 0.0 ? 0.0 : pz / pt);
}

// phi of the pair: the first leg's phi turned by the angle between the sum and the first leg.
FASTJAG_HD double pair_phi(Leg const& a, Leg const& b) {
    double const half = 0.5 * wrap_phi(b.phi - a.phi);
    double const s = sin_quarter(half), c = cos_quarter(half);
    double const along = (a.pt - b.pt) + 2.0 * b.pt * square(c);  // pt1 + pt2 cos(delta_phi)
    double const across = 2.0 * b.pt * s * c;                     // pt2 sin(delta_phi)
    return wrap_phi(a.phi + atan2_(across, along));
}

FASTJAG_HD double delta_r(Leg const& a, Leg const& b) {
    return std::sqrt(square(a.eta - b.eta) + square(wrap_phi(a.phi - b.phi)));
}

}  // namespace fastjag::FASTJAG_ISA
