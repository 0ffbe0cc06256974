// probe: a kernel that does nothing, which shows whether the current GPU runs kernels of this
// module.
#include "launch.cuh"

namespace fastjag {
namespace {

__global__ void nothing() {}

}  // namespace

void probe() {
    Stream const stream{};
    FASTJAG_LAUNCH(nothing, 1, 1, 0, stream);
    check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream.handle)), "nothing", "failed");
}

}  // namespace fastjag
