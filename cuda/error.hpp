// Errors of the CUDA runtime, thrown to Python as fastjag.CudaError.
#pragma once

#include <stdexcept>

namespace fastjag {

struct CudaError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace fastjag
