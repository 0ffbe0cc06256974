// Around a launch: how large the grid is, and what went wrong.
#include "launch.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "error.hpp"

namespace fastjag {
namespace {

bool synchronous() {
    char const* asked = std::getenv("FASTJAG_SYNC");
    return asked && *asked && *asked != '0';
}

}  // namespace

void check(cudaError_t code, char const* kernel, char const* when) {
    if (code == cudaSuccess) return;
    cudaGetLastError();  // or the next launch would report it, too
    throw CudaError("CUDA kernel " + std::string(kernel) + " " + when + ": " +
                    cudaGetErrorString(code) + " (" + cudaGetErrorName(code) + ")");
}

void check_launch(char const* kernel, Stream stream) {
    check(cudaGetLastError(), kernel, "could not be launched");
    if (synchronous())
        check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream.handle)), kernel, "failed");
}

int64_t grid_of(void const* kernel, int64_t blocks, int64_t threads, int64_t shared_bytes) {
    int device = 0, processors = 1, resident = 1;
    auto const known = [](cudaError_t code) { check(code, "grid", "could not be sized"); };
    known(cudaGetDevice(&device));
    known(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
    known(cudaOccupancyMaxActiveBlocksPerMultiprocessor(
        &resident, kernel, static_cast<int>(threads), static_cast<size_t>(shared_bytes)));
    int64_t const most = int64_t{processors} * std::max(resident, 1);
    return std::clamp<int64_t>(blocks, 1, most);
}

}  // namespace fastjag
