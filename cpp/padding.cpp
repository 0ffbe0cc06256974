// padding: jagged columns into a dense tensor, with truncation, fill, order, standardise and cast.
#include <algorithm>
#include <type_traits>

#include "fastjag/kernels.hpp"
#include "parallel.hpp"

namespace fastjag {
namespace {

// Out of cache, the tensor would be walked once per column; a block of events stays in L2.
constexpr int64_t block_bytes = 128 * 1024;

// The arithmetic type: float only where both ends are float, so that no input loses bits.
template <class In, class Out>
using Compute =
    std::conditional_t<std::is_same_v<In, float> && std::is_same_v<Out, float>, float, double>;

template <class In, class Out>
struct Standardise {
    using C = Compute<In, Out>;
    C mean, scale, low, high;
    Out operator()(In x) const {
        C value = (static_cast<C>(x) - mean) * scale;
        value = value < low ? low : value;  // NaN compares false and passes through
        value = value > high ? high : value;
        return static_cast<Out>(value);
    }
};

template <class In, class Out>
struct Cast {
    Out operator()(In x) const { return static_cast<Out>(x); }
};

// Slots are written in order; `Step` is the distance between slots, a constant 1 where it can be.
template <class In, class Out, class Convert, class Step>
void pad_rows(PaddingArgs<Out> const& a, In const* values, Out* out, Step step, int64_t begin,
              int64_t end, Convert const& convert) {
    int64_t const first = a.offsets[0];
    for (int64_t event = begin; event < end; ++event) {
        int64_t const start = a.offsets[event];
        int64_t const n = std::min(a.offsets[event + 1] - start, a.width);
        Out* row = out + event * a.event_stride;
        if (a.order)
            for (int64_t k = 0; k < n; ++k)
                row[k * step] = convert(values[a.order[start - first + k]]);
        else
            for (int64_t k = 0; k < n; ++k) row[k * step] = convert(values[start + k]);
        for (int64_t k = n; k < a.width; ++k) row[k * step] = a.fill;
    }
}

template <class In, class Out>
void pad_column(PaddingArgs<Out> const& a, int64_t column, int64_t begin, int64_t end) {
    PaddingColumn const& c = a.columns[column];
    auto const* values = static_cast<In const*>(c.data);
    Out* out = a.out + column * a.column_stride;
    auto run = [&](auto const& convert) {
        if (a.slot_stride == 1)
            pad_rows(a, values, out, std::integral_constant<int64_t, 1>{}, begin, end, convert);
        else
            pad_rows(a, values, out, a.slot_stride, begin, end, convert);
    };
    if constexpr (std::is_floating_point_v<Out>) {
        using C = Compute<In, Out>;
        if (a.standardise)
            return run(Standardise<In, Out>{static_cast<C>(c.mean), static_cast<C>(c.inverse_scale),
                                            static_cast<C>(a.low), static_cast<C>(a.high)});
    }
    run(Cast<In, Out>{});
}

template <class Out>
void pad_block(PaddingArgs<Out> const& a, int64_t column, int64_t begin, int64_t end) {
    if constexpr (std::is_floating_point_v<Out>) {
        switch (a.columns[column].dtype) {
            case DType::u1: return pad_column<uint8_t>(a, column, begin, end);
            case DType::u2: return pad_column<uint16_t>(a, column, begin, end);
            case DType::u4: return pad_column<uint32_t>(a, column, begin, end);
            case DType::u8: return pad_column<uint64_t>(a, column, begin, end);
            case DType::i1: return pad_column<int8_t>(a, column, begin, end);
            case DType::i2: return pad_column<int16_t>(a, column, begin, end);
            case DType::i4: return pad_column<int32_t>(a, column, begin, end);
            case DType::i8: return pad_column<int64_t>(a, column, begin, end);
            case DType::f4: return pad_column<float>(a, column, begin, end);
            case DType::f8: return pad_column<double>(a, column, begin, end);
        }
    } else {
        pad_column<Out>(a, column, begin, end);  // bits of the same size
    }
}

}  // namespace

template <class Out>
void padding(PaddingArgs<Out> const& a, Threads threads) {
    int64_t const row = a.width * a.n_columns * static_cast<int64_t>(sizeof(Out));
    int64_t const block = std::max<int64_t>(1, block_bytes / std::max<int64_t>(1, row));
    parallel_events(a.offsets, a.n_events, a.width * a.n_columns, threads,
                    [&](int64_t begin, int64_t end, int) {
                        for (int64_t b = begin; b < end; b += block)
                            for (int64_t column = 0; column < a.n_columns; ++column)
                                pad_block(a, column, b, std::min(end, b + block));
                        if (!a.mask) return;
                        for (int64_t event = begin; event < end; ++event) {
                            int64_t const n = a.offsets[event + 1] - a.offsets[event];
                            for (int64_t k = 0; k < a.width; ++k)
                                a.mask[event * a.width + k] = k < n;
                        }
                    });
}

template void padding(PaddingArgs<uint8_t> const&, Threads);
template void padding(PaddingArgs<uint16_t> const&, Threads);
template void padding(PaddingArgs<uint32_t> const&, Threads);
template void padding(PaddingArgs<uint64_t> const&, Threads);
template void padding(PaddingArgs<float> const&, Threads);
template void padding(PaddingArgs<double> const&, Threads);

}  // namespace fastjag
