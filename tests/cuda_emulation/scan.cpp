// In place of cuda/scan.cu, whose CUB cannot be emulated: the same sums by a plain loop.
#include <cuda_runtime.h>

#include <stdexcept>

#include "emulation.hpp"
#include "fastjag/kernels.hpp"

namespace fastjag {

int64_t scan_scratch(int64_t n) { return n / 8 + 1; }

void scan(ScanArgs const& a, Stream) {
    if (a.n == 0) return;
    auto const values = reinterpret_cast<uintptr_t>(a.values);
    auto const bytes = static_cast<size_t>(a.n) * sizeof(int64_t);
    if (a.scratch_bytes < scan_scratch(a.n)) throw std::runtime_error("scan: scratch is too small");
    if (cuda_emulation::first_unwritten(values, bytes) >= 0)
        throw std::runtime_error("scan: values were not written");
    cuda_emulation::mark(reinterpret_cast<uintptr_t>(a.scratch),
                         static_cast<size_t>(a.scratch_bytes), false);
    for (int64_t i = 1; i < a.n; ++i) a.values[i] += a.values[i - 1];
}

}  // namespace fastjag
