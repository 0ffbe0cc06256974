// pages: the values of many pages of a column at once, decompressed before. A block takes one row
// after the other: a part of one page, of some thousand numbers. And the checksums of zlib.
#include "fastjag/pages.hpp"

#include <type_traits>

#include "fastjag/kernels_pages.hpp"
#include "launch.cuh"

namespace fastjag {
using namespace FASTJAG_ISA;
namespace {

// How number i of n is read, of a page of this many bytes that begins at a multiple of 8.
template <class U>
struct Plain {
    using Out = U;
    __device__ U operator()(uint8_t const* page, int64_t, int64_t i) const {
        return __ldg(reinterpret_cast<U const*>(page) + i);
    }
};

template <class U>
struct Swapped {
    using Out = U;
    __device__ U operator()(uint8_t const* page, int64_t, int64_t i) const {
        uint64_t stored = __ldg(reinterpret_cast<U const*>(page) + i), x = 0;
        for (unsigned k = 0; k < sizeof(U); ++k) {
            x = x << 8 | (stored & 0xff);
            stored >>= 8;
        }
        return static_cast<U>(x);
    }
};

template <class U, bool zigzag>
struct Split {
    using Out = U;
    __device__ U operator()(uint8_t const* page, int64_t n, int64_t i) const {
        U const x = split_number<U>(page, n, i);
        return zigzag ? without_zigzag(x) : x;
    }
};

struct Bit {
    using Out = uint8_t;
    __device__ uint8_t operator()(uint8_t const* page, int64_t, int64_t i) const {
        return (page[i >> 3] >> (i & 7)) & 1;
    }
};

template <bool split>
struct Half {
    using Out = float;
    __device__ float operator()(uint8_t const* page, int64_t n, int64_t i) const {
        return half_number(split ? split_number<uint16_t>(page, n, i)
                                 : __ldg(reinterpret_cast<uint16_t const*>(page) + i));
    }
};

struct Truncated {
    using Out = float;
    int64_t bits;
    __device__ float operator()(uint8_t const* page, int64_t n, int64_t i) const {
        return truncated_number(packed_bytes(page, n, i), bits);
    }
    // Of 1 to 32 bits each, which begin anywhere.
    __device__ uint32_t packed_bytes(uint8_t const* page, int64_t n, int64_t i) const {
        int64_t const at = (i * bits) >> 3, shift = (i * bits) & 7, size = page_bytes(n, bits);
        uint64_t word = 0;
        for (int64_t k = 0; k < 5 && at + k < size; ++k)
            word |= static_cast<uint64_t>(page[at + k]) << (8 * k);
        return static_cast<uint32_t>((word >> shift) & ((uint64_t{1} << bits) - 1));
    }
};

template <class T>
struct Quantised {
    using Out = T;
    Truncated packed;
    double low, scale;
    __device__ T operator()(uint8_t const* page, int64_t n, int64_t i) const {
        return static_cast<T>(quantised_number(packed.packed_bytes(page, n, i), low, scale));
    }
};

template <class Read>
__global__ void unpack(PageRowsArgs a, Read read) {
    auto* const out = static_cast<typename Read::Out*>(a.out);
    for (int64_t r = blockIdx.x; r < a.n_rows; r += gridDim.x) {
        PageRow const row = a.rows[r];
        for (int64_t k = threadIdx.x; k < row.count; k += blockDim.x)
            out[row.to + k] = read(a.data + row.offset, row.n, row.first + k);
    }
}

// Two sums of a run, by a block: those of zlib, which adds byte by byte modulo 65521.
__global__ void adler(AdlerArgs a) {
    FASTJAG_SHARED(uint64_t, sums);  // two of each warp
    for (int64_t r = blockIdx.x; r < a.n; r += gridDim.x) {
        uint8_t const* const data = a.data + a.runs[2 * r];
        int64_t const n = a.runs[2 * r + 1];
        uint64_t plain = 0, weighted = 0;
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
            plain += data[i];
            weighted += static_cast<uint64_t>(n - i) * data[i];  // below 2^55 for 2^24 bytes
        }
        for (int half = 16; half > 0; half /= 2) {
            plain += __shfl_down_sync(all_lanes, plain, half);
            weighted += __shfl_down_sync(all_lanes, weighted, half);
        }
        int64_t const warp = threadIdx.x / 32, warps = blockDim.x / 32;
        __syncthreads();  // the run before is read
        if (lane_index() == 0) {
            sums[2 * warp] = plain;
            sums[2 * warp + 1] = weighted;
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            plain = 1;
            weighted = static_cast<uint64_t>(n);
            for (int64_t w = 0; w < warps; ++w) {
                plain += sums[2 * w];
                weighted += sums[2 * w + 1];
            }
            a.out[r] = static_cast<uint32_t>(weighted % 65521 << 16 | plain % 65521);
        }
    }
}

template <class Read>
void launch(PageRowsArgs const& a, Read read, Stream stream) {
    FASTJAG_LAUNCH((unpack<Read>), blocks_for(a.n_rows, 1), block_threads, 0, stream, a, read);
}

}  // namespace

void page_rows(PageRowsArgs const& a, Stream stream) {
    if (a.n_rows == 0) return;
    auto by_size = [&](auto run) {
        switch (a.bits) {
            case 8: return run(uint8_t{});
            case 16: return run(uint16_t{});
            case 32: return run(uint32_t{});
            default: return run(uint64_t{});
        }
    };
    Truncated const packed{a.bits};
    switch (a.encoding) {
        case Encoding::plain:
            return by_size([&](auto zero) { launch(a, Plain<decltype(zero)>{}, stream); });
        case Encoding::swapped:
            return by_size([&](auto zero) { launch(a, Swapped<decltype(zero)>{}, stream); });
        case Encoding::split:
            return by_size([&](auto zero) { launch(a, Split<decltype(zero), false>{}, stream); });
        case Encoding::zigzag:
            return by_size([&](auto zero) { launch(a, Split<decltype(zero), true>{}, stream); });
        case Encoding::bit: return launch(a, Bit{}, stream);
        case Encoding::half: return launch(a, Half<false>{}, stream);
        case Encoding::split_half: return launch(a, Half<true>{}, stream);
        case Encoding::truncated: return launch(a, packed, stream);
        case Encoding::quantised: {
            double const scale = quantum(a.low, a.high, a.bits);
            return a.wide ? launch(a, Quantised<double>{packed, a.low, scale}, stream)
                          : launch(a, Quantised<float>{packed, a.low, scale}, stream);
        }
        case Encoding::index:
        case Encoding::split_index: return;  // the CPU's: their ends size all else
    }
}

void adler32(AdlerArgs const& a, Stream stream) {
    if (a.n == 0) return;
    FASTJAG_LAUNCH(adler, blocks_for(a.n, 1), block_threads,
                   block_threads / 32 * 2 * sizeof(uint64_t), stream, a);
}

}  // namespace fastjag
