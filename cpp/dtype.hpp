// NumPy's short names of dtypes.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "fastjag/kernels.hpp"

namespace fastjag {

inline DType parse_dtype(std::string const& name) {
    if (name == "b1" || name == "u1") return DType::u1;
    if (name == "u2") return DType::u2;
    if (name == "u4") return DType::u4;
    if (name == "u8") return DType::u8;
    if (name == "i1") return DType::i1;
    if (name == "i2") return DType::i2;
    if (name == "i4") return DType::i4;
    if (name == "i8") return DType::i8;
    if (name == "f4") return DType::f4;
    if (name == "f8") return DType::f8;
    throw pybind11::type_error("unsupported dtype " + name);
}

}  // namespace fastjag
