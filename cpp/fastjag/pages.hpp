// Rules of `pages`: what the bytes of a page of an RNTuple column mean. Once for host and device,
// both little endian, as the file is. Format:
// https://github.com/root-project/root/blob/master/tree/ntuple/doc/BinaryFormatSpecification.md,
// "Column Description".
#pragma once

#include <cstdint>

#include "config.hpp"

namespace fastjag::FASTJAG_ISA {

// Number i where it begins at byte i * sizeof(U), or at any other.
template <class U>
FASTJAG_HD U stored_number(uint8_t const* data, int64_t i) {
    U x;
    __builtin_memcpy(&x, data + i * static_cast<int64_t>(sizeof(U)), sizeof x);
    return x;
}

// Number i of n whose bytes stand apart: first the lowest of all numbers, then the next ones.
template <class U>
FASTJAG_HD U split_number(uint8_t const* data, int64_t n, int64_t i) {
    uint64_t x = 0;
    for (int64_t k = 0; k < static_cast<int64_t>(sizeof(U)); ++k)
        x |= static_cast<uint64_t>(data[k * n + i]) << (8 * k);
    return static_cast<U>(x);
}

// 0, -1, 1, -2, ... for 0, 1, 2, 3, ...: a number or a vector of them, unsigned.
template <class U>
FASTJAG_HD U without_zigzag(U x) {
    return static_cast<U>((x >> 1) ^ (U{} - (x & 1)));
}

FASTJAG_HD float as_single(uint32_t bits) {
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

// A float32 of which the upper bits are kept.
FASTJAG_HD float truncated_number(uint32_t x, int64_t bits) { return as_single(x << (32 - bits)); }

// One of 2^bits equidistant numbers from low to high: `scale` apart.
FASTJAG_HD double quantised_number(uint32_t x, double low, double scale) {
    return static_cast<double>(x) * scale + low;
}
FASTJAG_HD double quantum(double low, double high, int64_t bits) {
    return (high - low) / static_cast<double>((uint64_t{1} << bits) - 1);
}

// A float16 as float32: exact, and NaN keeps its bits.
FASTJAG_HD float half_number(uint16_t x) {
    uint32_t const sign = static_cast<uint32_t>(x & 0x8000) << 16;
    uint32_t const exponent = (x >> 10) & 31, fraction = x & 1023;
    if (exponent == 0) {  // zero or subnormal: fraction * 2^-24
        float const value = static_cast<float>(fraction) * as_single(0x33800000);
        return sign ? -value : value;
    }
    uint32_t const wide = exponent == 31 ? 255 : exponent + 112;
    return as_single(sign | (wide << 23) | (fraction << 13));
}

}  // namespace fastjag::FASTJAG_ISA
