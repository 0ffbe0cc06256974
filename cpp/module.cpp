// The _cpu module.
#include "bindings.hpp"
#include "dispatch.hpp"

PYBIND11_MODULE(_cpu, m, pybind11::mod_gil_not_used()) {
    m.doc() = "Compiled CPU kernels of fastjag; use them through fastjag.kernels.";
    m.attr("compiler") = __VERSION__;
    m.attr("simd") = fastjag::simd_name();
    m.attr("sanitized") = static_cast<bool>(FASTJAG_SANITIZED);
    fastjag::bind_kernels(m);
    fastjag::bind_pages(m);
    fastjag::bind_rows(m);
    fastjag::bind_nested(m);
}
