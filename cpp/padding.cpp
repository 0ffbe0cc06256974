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

template <class In, class Out, class Convert>
void pad_rows(PaddingArgs<Out> const& a, In const* values, Out* out, int64_t begin, int64_t end,
              Convert const& convert) {
    int64_t const first = a.offsets[0], last = a.offsets[a.n_events];
    int64_t const step = a.slot_stride;
    // Reading a full row is fine while it stays inside the content, and cheaper while it is short.
    int64_t const reach = a.width <= short_width && !a.order && step == 1 ? last - a.width : -1;
    for (int64_t event = begin; event < end; ++event) {
        int64_t const start = a.offsets[event];
        int64_t const n = std::min(a.offsets[event + 1] - start, a.width);
        Out* slots = out + (event - begin) * a.event_stride;
        if (start <= reach) {
            pad_row(values + start, static_cast<int>(n), static_cast<int>(a.width), a.fill, slots,
                    convert);
            continue;
        }
        int64_t k = 0;
        for (; k < n; ++k)
            slots[k * step] = convert(values[a.order ? a.order[start - first + k] : start + k]);
        for (; k < a.width; ++k) slots[k * step] = a.fill;
    }
}

// One column of events begin .. end - 1, its first slot at `out`.
template <class In, class Out>
void pad_column(PaddingArgs<Out> const& a, int64_t column, Out* out, int64_t begin, int64_t end) {
    PaddingColumn const& c = a.columns[column];
    auto const* values = static_cast<In const*>(c.data);
    if constexpr (std::is_floating_point_v<Out>) {
        using C = Compute<In, Out>;
        Standardise<In, Out> const standardise{static_cast<C>(c.mean),
                                               static_cast<C>(c.inverse_scale),
                                               static_cast<C>(a.low), static_cast<C>(a.high)};
        if (a.standardise) return pad_rows(a, values, out, begin, end, standardise);
    }
    pad_rows(a, values, out, begin, end, Cast<In, Out>{});
}

template <class Out>
void pad_any_column(PaddingArgs<Out> const& a, int64_t column, Out* out, int64_t b, int64_t e) {
    if constexpr (std::is_floating_point_v<Out>) {
        switch (a.columns[column].dtype) {
            case DType::u1: return pad_column<uint8_t>(a, column, out, b, e);
            case DType::u2: return pad_column<uint16_t>(a, column, out, b, e);
            case DType::u4: return pad_column<uint32_t>(a, column, out, b, e);
            case DType::u8: return pad_column<uint64_t>(a, column, out, b, e);
            case DType::i1: return pad_column<int8_t>(a, column, out, b, e);
            case DType::i2: return pad_column<int16_t>(a, column, out, b, e);
            case DType::i4: return pad_column<int32_t>(a, column, out, b, e);
            case DType::i8: return pad_column<int64_t>(a, column, out, b, e);
            case DType::f4: return pad_column<float>(a, column, out, b, e);
            case DType::f8: return pad_column<double>(a, column, out, b, e);
        }
    } else {
        pad_column<Out>(a, column, out, b, e);  // bits of the same size
    }
}

// Every column writes its own places, all of them for a block of events that stays in L2.
template <class Out>
void pad_in_place(PaddingArgs<Out> const& a, int64_t begin, int64_t end) {
    int64_t const bytes = a.event_stride * static_cast<int64_t>(sizeof(Out));
    int64_t const block = std::max<int64_t>(1, block_bytes / bytes);
    for (int64_t b = begin; b < end; b += block)
        for (int64_t column = 0; column < a.n_columns; ++column)
            pad_any_column(a, column, a.out + b * a.event_stride + column * a.column_stride, b,
                           std::min(end, b + block));
}

// (event, column, slot) to (event, slot, column); a known number of columns unrolls.
template <int columns, class Out>
void interleave(Out const* from, Out* to, int64_t n_events, int64_t width, int64_t n_columns) {
    int64_t const n = columns ? columns : n_columns;
    for (int64_t event = 0; event < n_events; ++event, from += width * n)
        for (int64_t k = 0; k < width; ++k)
            for (int64_t column = 0; column < n; ++column) *to++ = from[column * width + k];
}

// Where columns are innermost, writing in place strides: a few events are padded column by column
// into a buffer in L1 and written from there in one go.
template <class Out>
void pad_interleaved(PaddingArgs<Out> const& a, int64_t begin, int64_t end) {
    constexpr int64_t room = 16 * 1024 / sizeof(Out);
    Out buffer[room];
    int64_t const width = a.width, n_columns = a.n_columns;
    int64_t const block = room / (width * n_columns);
    if (block == 0) return pad_in_place(a, begin, end);
    PaddingArgs<Out> staged = a;
    staged.slot_stride = 1;
    for (int64_t b = begin; b < end; b += block) {
        int64_t const e = std::min(end, b + block);
        for (int64_t column = 0; column < n_columns; ++column)
            pad_any_column(staged, column, buffer + column * width, b, e);
        Out* to = a.out + b * width * n_columns;
        switch (n_columns) {
            case 2: interleave<2>(buffer, to, e - b, width, 2); break;
            case 3: interleave<3>(buffer, to, e - b, width, 3); break;
            case 4: interleave<4>(buffer, to, e - b, width, 4); break;
            default: interleave<0>(buffer, to, e - b, width, n_columns);
        }
    }
}

// Eight slots of the mask per store. What spills into the next event is overwritten with it; the
// last ones, where it would leave this part of the mask, are written one by one.
void fill_mask(int64_t const* offsets, int64_t width, int64_t begin, int64_t end, uint8_t* mask) {
    constexpr uint64_t all = 0x0101010101010101;
    constexpr uint64_t leading[] = {0,         all >> 56, all >> 48, all >> 40, all >> 32,
                                    all >> 24, all >> 16, all >> 8,  all};  // little-endian
    int64_t event = begin;
    for (; (event + 1) * width + 8 <= end * width; ++event) {
        int64_t const n = offsets[event + 1] - offsets[event];
        for (int64_t k = 0; k < width; k += 8)
            __builtin_memcpy(mask + event * width + k, leading + std::clamp<int64_t>(n - k, 0, 8),
                             8);
    }
    for (; event < end; ++event)
        for (int64_t k = 0; k < width; ++k)
            mask[event * width + k] = k < offsets[event + 1] - offsets[event];
}

}  // namespace

template <class Out>
void padding(PaddingArgs<Out> const& a, Threads threads) {
    parallel_events(a.offsets, a.n_events, a.width * a.n_columns, threads,
                    [&](int64_t begin, int64_t end, int) {
                        if (a.slot_stride == 1)
                            pad_in_place(a, begin, end);
                        else
                            pad_interleaved(a, begin, end);
                        if (a.mask) fill_mask(a.offsets, a.width, begin, end, a.mask);
                    });
}

#define FASTJAG_PADDING(T) template void padding(PaddingArgs<T> const&, Threads);
FASTJAG_FOR_PADDING_TYPES(FASTJAG_PADDING)

}  // namespace fastjag
