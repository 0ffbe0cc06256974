// CUB for cuda/scan.cu. Real CUB compiles to kernels that the emulation does not know.
#include <cub/device/device_scan.cuh>

#include <stdexcept>

#include "emulation.hpp"

cudaError_t cub::DeviceScan::InclusiveSum(void* scratch, size_t& bytes, int64_t const* in,
                                          int64_t* out, int64_t n, cudaStream_t) {
    auto const needed = static_cast<size_t>(n) / 8 + 1;
    if (!scratch) {
        bytes = needed;
        return cuda_emulation::failure("scan size");
    }
    // As in CUB: no kernel was launched, and cudaGetLastError knows nothing of it.
    if (bytes < needed) return cudaErrorInvalidValue;
    if (cudaError_t const code = cuda_emulation::failure("scan"); code != cudaSuccess) return code;
    cuda_emulation::launched.push_back({"scan", 1, 1, 0});
    auto const bytes_of_values = static_cast<size_t>(n) * sizeof(int64_t);
    if (cuda_emulation::first_unwritten(reinterpret_cast<uintptr_t>(in), bytes_of_values) >= 0)
        throw std::runtime_error("scan: values were not written");
    cuda_emulation::mark(reinterpret_cast<uintptr_t>(scratch), bytes, false);
    int64_t sum = 0;
    for (int64_t i = 0; i < n; ++i) out[i] = sum += in[i];
    return cudaSuccess;
}
