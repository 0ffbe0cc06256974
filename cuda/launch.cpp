// Around a launch: how large the grid is, and what went wrong.
#include "launch.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "error.hpp"

namespace fastjag {
namespace {

constexpr int64_t blocks_per_processor = 8;  // of 256 threads: 2048, all that one can hold

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

int64_t blocks_for(int64_t items, int64_t items_per_block) {
    int device = 0, processors = 1;
    check(cudaGetDevice(&device), "grid", "could not be sized");
    check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "grid",
          "could not be sized");
    return std::clamp<int64_t>((items + items_per_block - 1) / items_per_block, 1,
                               blocks_per_processor * processors);
}

}  // namespace fastjag
