// The _cuda module: the kernels of _cpu for arrays on a GPU, with a stream in place of threads.
#include <cuda_runtime.h>

#include "bindings.hpp"
#include "error.hpp"
#include "launch.hpp"

#ifndef FASTJAG_MODULE
#define FASTJAG_MODULE _cuda
#endif

namespace {

namespace py = pybind11;

// Why the current GPU runs no kernel of ours, or nothing. A module for other GPUs is found here,
// and not by the first kernel of an analysis.
std::string silent_gpu() {
    try {
        fastjag::probe();
    } catch (fastjag::CudaError const& e) {
        int device = 0, major = 0, minor = 0;
        cudaGetDevice(&device);
        cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
        cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
        std::string const a = std::to_string(major), b = std::to_string(minor);
        return std::string(e.what()) + " on GPU " + std::to_string(device) +
               ", of compute capability " + a + "." + b +
               "; if fastjag was built for others, FASTJAG_CUDA_ARCHITECTURES=" + a + b +
               " builds it for this one (docs/gpu.md)";
    }
    return "";
}

// Why no GPU can be used, or nothing.
std::string problem() {
    int driver = 0, devices = 0;
    cudaDriverGetVersion(&driver);
    cudaError_t const code = cudaGetDeviceCount(&devices);
    cudaGetLastError();  // or the next launch would report it
    if (code == cudaSuccess && devices > 0) return silent_gpu();
    std::string const built = "fastjag was built with CUDA " +
                              std::to_string(CUDART_VERSION / 1000) + "." +
                              std::to_string(CUDART_VERSION % 1000 / 10);
    if (driver == 0) return "there is no NVIDIA driver (" + built + ")";
    if (code == cudaSuccess || code == cudaErrorNoDevice) return "the NVIDIA driver sees no GPU";
    return std::string(cudaGetErrorString(code)) + ", driver for CUDA " +
           std::to_string(driver / 1000) + "." + std::to_string(driver % 1000 / 10) + " (" + built +
           ")";
}

}  // namespace

#ifdef FASTJAG_MODULE_EXTRAS
void bind_extras(py::module_&);
#endif

PYBIND11_MODULE(FASTJAG_MODULE, m, py::mod_gil_not_used()) {
    m.doc() = "Compiled CUDA kernels of fastjag; use them through fastjag.kernels.";
    // The class is Python's: it is there to be caught where there is no GPU, too.
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> error;
    error.call_once_and_store_result(
        [] { return py::module_::import("fastjag.core.devices").attr("CudaError"); });
    py::register_local_exception_translator([](std::exception_ptr thrown) {
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (fastjag::CudaError const& e) {
            py::set_error(error.get_stored(), e.what());
        }
    });
    m.def("problem", &problem);
    m.attr("runtime") = CUDART_VERSION;
    fastjag::bind_kernels(m);
    fastjag::bind_page_rows(m);
    m.def("scan_scratch", &fastjag::scan_scratch);
    m.def("select_scratch", &fastjag::select_scratch);
    m.def("order_scratch", &fastjag::order_scratch);
    m.def("aggregate_scratch", &fastjag::aggregate_scratch);
    m.def("dimuon_scratch", &fastjag::dimuon_scratch);
    m.def("in_cone_scratch", &fastjag::in_cone_scratch);
    m.def("nearest_scratch", &fastjag::nearest_scratch);
    m.def("histogram_cuts_scratch", &fastjag::histogram_cuts_scratch);
    m.def("check_offsets", [](fastjag::Array offsets, fastjag::Array found, fastjag::Where where) {
        fastjag::CheckArgs const a{fastjag::in<int64_t>(offsets), fastjag::events(offsets),
                                   fastjag::out<int64_t>(found)};
        fastjag::unlocked([&] { fastjag::check_offsets(a, fastjag::place(where)); });
    });
    m.def("check_bools", [](fastjag::Array bytes, fastjag::Array found, fastjag::Where where) {
        fastjag::check_layout(bytes);
        auto const* const data = static_cast<uint8_t const*>(bytes.data());
        auto* const out = fastjag::out<int64_t>(found);
        fastjag::unlocked(
            [&] { fastjag::check_bools(data, bytes.size(), out, fastjag::place(where)); });
    });
    m.def("scan", [](fastjag::Array values, fastjag::Array scratch, fastjag::Where where) {
        fastjag::ScanArgs const a{values.size(), fastjag::out<int64_t>(values),
                                  fastjag::out<uint8_t>(scratch), scratch.size()};
        fastjag::unlocked([&] { fastjag::scan(a, fastjag::place(where)); });
    });
#ifdef FASTJAG_MODULE_EXTRAS
    bind_extras(m);
#endif
}
