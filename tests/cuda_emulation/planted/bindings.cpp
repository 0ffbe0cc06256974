#include <pybind11/pybind11.h>

#include "planted.hpp"

namespace py = pybind11;

void bind_extras(py::module_&);

PYBIND11_MODULE(_planted, m, py::mod_gil_not_used()) {
    bind_extras(m);
    for (Kernel const* kernels : {clean_kernels, defective_kernels})
        for (Kernel const* k = kernels; k->name; ++k)
            m.def(
                k->name,
                [k](uintptr_t in, uintptr_t out, int64_t n, unsigned blocks, unsigned threads,
                    size_t shared_bytes) {
                    py::gil_scoped_release const unlocked;
                    k->launch({reinterpret_cast<int const*>(in), reinterpret_cast<int*>(out), n,
                               blocks, threads, shared_bytes});
                },
                py::arg("source"), py::arg("out"), py::arg("n"), py::arg("blocks") = 2,
                py::arg("threads") = 64, py::arg("shared_bytes") = 0);
}
