// Checks and casts between NumPy arrays and the arguments of kernels. Friendly messages are made in
// Python (kernels/); what is refused here is a bug of that layer, never a copy made in silence.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>

#include "fastjag/kernels.hpp"

namespace fastjag {

namespace py = pybind11;
using Optional = std::optional<py::array>;

void bind_pyramid(py::module_& m);

inline void check_layout(py::array const& a) {
    constexpr int wanted = py::array::c_style + int{py::detail::npy_api::NPY_ARRAY_ALIGNED_};
    if ((a.flags() & wanted) != wanted)
        throw py::type_error("array must be contiguous and aligned");
    if (a.dtype().byteorder() == '>') throw py::type_error("array must be in native byte order");
}

inline DType dtype_of(py::array const& a) {
    std::string const name =
        std::string(1, a.dtype().kind()) + std::to_string(a.dtype().itemsize());
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
    throw py::type_error("unsupported dtype " + name);
}

template <class T>
constexpr DType dtype_for() {
    if constexpr (std::is_floating_point_v<T>)
        return sizeof(T) == 4 ? DType::f4 : DType::f8;
    else
        return static_cast<DType>((std::is_signed_v<T> ? 4 : 0) + (sizeof(T) == 1   ? 0
                                                                   : sizeof(T) == 2 ? 1
                                                                   : sizeof(T) == 4 ? 2
                                                                                    : 3));
}

template <class T>
T const* in(py::array const& a) {
    check_layout(a);
    if (dtype_of(a) != dtype_for<T>()) throw py::type_error("array has the wrong dtype");
    return static_cast<T const*>(a.data());
}

template <class T>
T* out(py::array& a) {
    check_layout(a);
    if (dtype_of(a) != dtype_for<T>()) throw py::type_error("output has the wrong dtype");
    return static_cast<T*>(a.mutable_data());  // throws where read-only
}

template <class T>
T const* in(Optional const& a) {
    return a ? in<T>(*a) : nullptr;
}

template <class T>
T* out(Optional& a) {
    return a ? out<T>(*a) : nullptr;
}

template <class... T, class F>
void visit(py::array const& a, F const& f) {
    DType const dtype = dtype_of(a);
    if (!((dtype == dtype_for<T>() ? (f(T{}), true) : false) || ...))
        throw py::type_error("unsupported dtype");
}

template <class F>
void visit_number(py::array const& a, F const& f) {
    visit<uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t, float, double>(
        a, f);
}

template <class F>
void unlocked(F const& f) {
    py::gil_scoped_release release;  // kernels touch raw buffers only, which the caller keeps alive
    f();
}

inline int64_t events(py::array const& offsets) { return static_cast<int64_t>(offsets.size()) - 1; }

}  // namespace fastjag
