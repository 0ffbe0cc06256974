// From the dtype of a column, which is known at run time only, to its type. Once for host and
// device.
#pragma once

#include <cstdint>

#include "config.hpp"
#include "kernels.hpp"

namespace fastjag::FASTJAG_ISA {

// Calls visit with a zero of the type.
template <class Visit>
FASTJAG_HD auto visit_dtype(DType dtype, Visit const& visit) {
    switch (dtype) {
        case DType::u1: return visit(uint8_t{});
        case DType::u2: return visit(uint16_t{});
        case DType::u4: return visit(uint32_t{});
        case DType::u8: return visit(uint64_t{});
        case DType::i1: return visit(int8_t{});
        case DType::i2: return visit(int16_t{});
        case DType::i4: return visit(int32_t{});
        case DType::i8: return visit(int64_t{});
        case DType::f4: return visit(float{});
        case DType::f8: break;
    }
    return visit(double{});
}

// Entry i of a column of f4 or f8.
FASTJAG_HD double read_float(void const* data, DType dtype, int64_t i) {
    return dtype == DType::f4 ? double{static_cast<float const*>(data)[i]}
                              : static_cast<double const*>(data)[i];
}

}  // namespace fastjag::FASTJAG_ISA
