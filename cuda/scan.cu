// scan: running sums of counts by CUB, in a file of its own because CUB is slow to compile. CUB
// returns what went wrong; too small a scratch, for one, is no failed launch.
#include <cub/device/device_scan.cuh>

#include "launch.cuh"

namespace fastjag {

int64_t scan_scratch(int64_t n) {
    size_t bytes = 0;
    check(cub::DeviceScan::InclusiveSum(nullptr, bytes, static_cast<int64_t*>(nullptr),
                                        static_cast<int64_t*>(nullptr), n),
          "scan", "could not be sized");
    return static_cast<int64_t>(bytes);
}

void scan(ScanArgs const& a, Stream stream) {
    if (a.n == 0) return;
    auto bytes = static_cast<size_t>(a.scratch_bytes);
    check(cub::DeviceScan::InclusiveSum(a.scratch, bytes, a.values, a.values, a.n,
                                        static_cast<cudaStream_t>(stream.handle)),
          "scan", "could not be launched");
    check_launch("scan", stream);
}

}  // namespace fastjag
