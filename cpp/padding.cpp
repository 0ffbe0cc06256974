// padding: jagged columns into a dense tensor, with truncation, fill, order, standardise and cast.
#include <algorithm>
#include <type_traits>

#include "fastjag/kernels.hpp"
#include "parallel.hpp"

namespace fastjag {
namespace {

// Out of cache, the tensor would be walked once per column; a block of events stays in L2.
constexpr int64_t block_bytes = 128 * 1024;

// Above this many slots the events' own lengths are worth a branch (and n - k fits into int8).
constexpr int64_t short_width = 32;

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

// Slots are written 16 bytes at a time: what stands in memory there, blended with the fill where
// the event has ended. No branch on the number of particles, which nobody can predict.
template <class Out>
struct Chunk {
    static constexpr int size = 16 / sizeof(Out);
    using Index = std::conditional_t<
        sizeof(Out) == 8, int64_t,
        std::conditional_t<sizeof(Out) == 4, int32_t,
                           std::conditional_t<sizeof(Out) == 2, int16_t, int8_t>>>;
    typedef Out Values __attribute__((vector_size(16)));
    typedef Index Indices __attribute__((vector_size(16)));
};

template <class In, class Out, class Convert>
void pad_row(In const* x, int n, int width, Out fill, Out* row, Convert const& convert) {
    using C = Chunk<Out>;
    typename C::Indices slots;
    for (int i = 0; i < C::size; ++i) slots[i] = static_cast<typename C::Index>(i);
    int k = 0;
    for (; k + C::size <= width; k += C::size) {
        typename C::Values value;
        if constexpr (std::is_same_v<In, Out> && std::is_same_v<Convert, Cast<In, Out>>)
            __builtin_memcpy(&value, x + k, sizeof value);
        else
            for (int i = 0; i < C::size; ++i) value[i] = convert(x[k + i]);
        auto const left = static_cast<typename C::Index>(n - k);
        value = slots < left ? value : typename C::Values{} + fill;
        __builtin_memcpy(row + k, &value, sizeof value);
    }
    for (; k < width; ++k) {
        Out const value = convert(x[k]);
        row[k] = k < n ? value : fill;
    }
}

template <bool contiguous, class In, class Out, class Convert>
void pad_rows(PaddingArgs<Out> const& a, In const* values, Out* out, int64_t begin, int64_t end,
              Convert const& convert) {
    int64_t const first = a.offsets[0], last = a.offsets[a.n_events];
    int64_t const step = contiguous ? 1 : a.slot_stride;
    // Reading a full row is fine while it stays inside the content, and cheaper while it is short.
    int64_t const reach = a.width <= short_width && !a.order ? last - a.width : -1;
    for (int64_t event = begin; event < end; ++event) {
        int64_t const start = a.offsets[event];
        int64_t const n = std::min(a.offsets[event + 1] - start, a.width);
        Out* row = out + event * a.event_stride;
        if (start <= reach) {
            if constexpr (contiguous)
                pad_row(values + start, static_cast<int>(n), static_cast<int>(a.width), a.fill, row,
                        convert);
            else
                for (int64_t k = 0; k < a.width; ++k) {
                    Out const value = convert(values[start + k]);
                    row[k * step] = k < n ? value : a.fill;
                }
            continue;
        }
        int64_t k = 0;
        for (; k < n; ++k)
            row[k * step] = convert(values[a.order ? a.order[start - first + k] : start + k]);
        for (; k < a.width; ++k) row[k * step] = a.fill;
    }
}

template <class In, class Out>
void pad_column(PaddingArgs<Out> const& a, int64_t column, int64_t begin, int64_t end) {
    PaddingColumn const& c = a.columns[column];
    auto const* values = static_cast<In const*>(c.data);
    Out* out = a.out + column * a.column_stride;
    auto run = [&](auto const& convert) {
        a.slot_stride == 1 ? pad_rows<true>(a, values, out, begin, end, convert)
                           : pad_rows<false>(a, values, out, begin, end, convert);
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

// Eight slots of the mask per store; `end` is where this part's mask ends.
void mask_row(uint8_t* row, int64_t n, int64_t width, uint8_t const* end) {
    constexpr uint64_t all = 0x0101010101010101;
    constexpr uint64_t leading[] = {0,         all >> 56, all >> 48, all >> 40, all >> 32,
                                    all >> 24, all >> 16, all >> 8,  all};  // little-endian
    for (int64_t k = 0; k < width; k += 8) {
        if (row + k + 8 > end) {
            for (; k < width; ++k) row[k] = k < n;
            return;
        }
        // What spills into the next event is overwritten with it.
        uint64_t const word = leading[std::clamp<int64_t>(n - k, 0, 8)];
        __builtin_memcpy(row + k, &word, sizeof word);
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
                        for (int64_t event = begin; event < end; ++event)
                            mask_row(a.mask + event * a.width,
                                     a.offsets[event + 1] - a.offsets[event], a.width,
                                     a.mask + end * a.width);
                    });
}

#define FASTJAG_PADDING(T) template void padding(PaddingArgs<T> const&, Threads);
FASTJAG_FOR_PADDING_TYPES(FASTJAG_PADDING)

}  // namespace fastjag
