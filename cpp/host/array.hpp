// Arrays of the _cpu module: NumPy's. Its kernels run on threads.
#pragma once

#include <pybind11/numpy.h>
#include <unistd.h>

#include <string>

#include "dtype.hpp"
#include "parallel.hpp"

namespace fastjag {

using Array = pybind11::array;

using Where = int;  // the last argument of every function: number of threads

// Whether a signal's handler raised an exception, which is then set. Only the main thread answers
// signals; others do not wait for the interpreter.
inline bool check_signals() {
#if defined(__linux__)
    if (getpid() != gettid()) return false;
#endif
    pybind11::gil_scoped_acquire const held;
    return PyErr_CheckSignals() != 0;
}

// Where a call runs, as long as it does.
class Place {
  public:
    explicit Place(int threads) : threads_(threads) {}
    operator Threads() { return {threads_, &interrupt_}; }

  private:
    int threads_;
    Interrupt interrupt_{&check_signals};
};
inline Place place(Where threads) { return Place(threads); }

inline void check_layout(Array const& a) {
    constexpr int wanted = Array::c_style + int{pybind11::detail::npy_api::NPY_ARRAY_ALIGNED_};
    if ((a.flags() & wanted) != wanted)
        throw pybind11::type_error("array must be contiguous and aligned");
    if (a.dtype().byteorder() == '>')
        throw pybind11::type_error("array must be in native byte order");
}

inline void check_column(Array const& a) {
    if (a.ndim() != 1 || !(a.flags() & pybind11::detail::npy_api::NPY_ARRAY_ALIGNED_) ||
        a.dtype().byteorder() == '>' || a.strides(0) % a.itemsize() != 0)
        throw pybind11::type_error(
            "column must be one-dimensional, aligned and in native byte order");
}

inline DType dtype_of(Array const& a) {
    std::string const name =
        std::string(1, a.dtype().kind()) + std::to_string(a.dtype().itemsize());
    return parse_dtype(name);
}

}  // namespace fastjag
