// Checks and casts between arrays and the arguments of kernels, for the modules of both devices:
// array.hpp, found in cpp/host or in cuda, says what an Array is and where kernels run. Friendly
// messages are made in Python (kernels/); what is refused here is a bug of that layer, never a copy
// made in silence.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <type_traits>

#include "array.hpp"
#include "fastjag/kernels.hpp"

namespace fastjag {

namespace py = pybind11;
using Optional = std::optional<Array>;

void bind_kernels(py::module_& m);
void bind_pyramid(py::module_& m);
void bind_pages(py::module_& m);      // _cpu only
void bind_rows(py::module_& m);       // _cpu only
void bind_nested(py::module_& m);     // _cpu only
void bind_page_rows(py::module_& m);  // _cuda only

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
T const* in(Array const& a) {
    check_layout(a);
    if (dtype_of(a) != dtype_for<T>()) throw py::type_error("array has the wrong dtype");
    return static_cast<T const*>(a.data());
}

template <class T>
T* out(Array& a) {
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
void visit(Array const& a, F const& f) {
    DType const dtype = dtype_of(a);
    if (!((dtype == dtype_for<T>() ? (f(T{}), true) : false) || ...))
        throw py::type_error("unsupported dtype");
}

template <class F>
void visit_number(Array const& a, F const& f) {
    visit<uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t, float, double>(
        a, f);
}

template <class F>
void unlocked(F const& f) {
    try {
        py::gil_scoped_release
            release;  // kernels touch raw buffers only, which the caller keeps alive
        f();
    } catch (Interrupted const&) {  // by a signal, whose handler raised an exception
        throw py::error_already_set();
    }
}

inline int64_t events(Array const& offsets) { return static_cast<int64_t>(offsets.size()) - 1; }

}  // namespace fastjag
