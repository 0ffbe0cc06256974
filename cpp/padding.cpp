// padding: jagged columns into a dense tensor, with truncation, fill, order, standardise and cast.
//
// Rows are read and written a register at a time: what stands in memory there, blended with the
// fill where the event has ended. No branch on the number of particles, which nobody can predict.
#include "fastjag/padding.hpp"

#include <type_traits>

#include "dispatch.hpp"
#include "fastjag/dtypes.hpp"
#include "streams.hpp"
#include "vectors.hpp"

namespace fastjag::FASTJAG_ISA {
namespace {

// Out of cache, the tensor would be walked once per column; a block of events stays in L2.
constexpr int64_t block_bytes = 128 * 1024;

// What is transposed is put together in L1 first.
constexpr int64_t stage_bytes = 16 * 1024;

// Bytes of a tensor from which it is written past the caches.
constexpr int64_t past_cache = 4 << 20;

// Rows of more registers than this are worth a branch on the event's own length.
constexpr int64_t short_row = 4;

template <class In, class Out>
struct Standardise {
    using C = Compute<In, Out>;
    C mean, scale, low, high;
    static constexpr int lanes = register_bytes / (sizeof(In) == 8 ? 8 : sizeof(C));
    Out one(In x) const {
        return static_cast<Out>(standardise(static_cast<C>(x), mean, scale, low, high));
    }
    template <int L>
    Vector<Out, L> many(Vector<In, L> x) const {
        using Values = Vector<C, L>;
        return convert<Vector<Out, L>>(standardise(
            convert<Values>(x), mean, scale, broadcast<Values>(low), broadcast<Values>(high)));
    }
};

// The same, and a number instead of NaN.
template <class In, class Out>
struct Clean : Standardise<In, Out> {
    using Standardise<In, Out>::lanes;
    Out nan;
    Out one(In x) const {
        Out const value = Standardise<In, Out>::one(x);
        return value == value ? value : nan;
    }
    template <int L>
    Vector<Out, L> many(Vector<In, L> x) const {
        using Values = Vector<Out, L>;
        Values const value = Standardise<In, Out>::template many<L>(x);
        return value == value ? value : broadcast<Values>(nan);
    }
};

template <class In, class Out>
struct Cast {
    static constexpr int lanes =
        register_bytes / (sizeof(In) > sizeof(Out) ? sizeof(In) : sizeof(Out));
    Out one(In x) const { return static_cast<Out>(x); }
    template <int L>
    Vector<Out, L> many(Vector<In, L> x) const {
        return convert<Vector<Out, L>>(x);
    }
};

// Where the particles of a row come from: as stored, or in an order.
template <class In>
struct Stored {
    In const* values;
    Stored from(int64_t start) const { return {values + start}; }
    In one(int64_t k) const { return values[k]; }
    template <int L>
    Vector<In, L> many(int64_t k) const {
        Vector<In, L> x;  // not load(): GCC 12 takes a single lane through memory then
        __builtin_memcpy(&x, values + k, sizeof x);
        return x;
    }
};

template <class In>
struct Ordered {
    In const* values;
    int64_t const* order;  // of the first particle of all events, then of the row
    int64_t first;
    Ordered from(int64_t start) const { return {values, order + (start - first), first}; }
    In one(int64_t k) const { return values[order[k]]; }
    template <int L>
    Vector<In, L> many(int64_t k) const {
        Vector<In, L> x;
        for (int l = 0; l < L; ++l) x[l] = values[order[k + l]];
        return x;
    }
};

// What the mask is made of.
struct Ones {
    Ones from(int64_t) const { return {}; }
    uint8_t one(int64_t) const { return 1; }
    template <int L>
    Vector<uint8_t, L> many(int64_t) const {
        return broadcast<Vector<uint8_t, L>>(1);
    }
};

// One row of `width` >= L slots, n of them filled. Reads up to the last register of the row that
// holds a particle, those of later events too; all of a short row.
template <int L, class Out, class Source, class Convert>
[[gnu::always_inline]] inline void pad_row(Source x, int64_t n, int64_t width, bool is_short,
                                           bool blank, Vector<Out, L> empty, Out* row,
                                           Convert convert) {
    using Index = Integer<sizeof(Out)>;
    Vector<Index, L> slots;
    for (int l = 0; l < L; ++l) slots[l] = static_cast<Index>(l);
    for (int64_t k = 0; k < width; k += L) {
        int64_t const at = smaller(k, width - L);  // the last ones may overlap
        Vector<Out, L> value = empty;
        if (is_short || k < n || at < k) {
            auto const left = static_cast<Index>(smaller(larger(n - at, 0), L));
            value = convert.template many<L>(x.template many<L>(at));
            value = slots < left ? value : empty;
        } else if (blank) {
            return;
        }
        store(value, row + at);
    }
}

// The same for a row near the content's end, or with other columns between its slots.
template <class Out, class Source, class Convert>
[[gnu::noinline]] void pad_slots(Source x, int64_t n, PaddingArgs<Out> const& a, Out* row, Out fill,
                                 Convert convert) {
    int64_t k = 0;
    for (; k < n; ++k) row[k * a.slot_stride] = convert.one(x.one(k));
    for (; k < a.width; ++k) row[k * a.slot_stride] = fill;
}

// One column of events begin .. end - 1, its first slot at `out`.
template <int L, class In, class Out, class Source, class Convert>
void pad_rows(PaddingArgs<Out> const& a, Source const& source, Out* out, int64_t begin, int64_t end,
              Out fill, Convert convert) {
    // Numbers as they are get all lengths of vectors, the rest the longest and 1.
    constexpr bool ones = std::is_same_v<Source, Ones>;
    constexpr int shorter = std::is_same_v<Source, Stored<Out>> || ones ? L / 2 : 1;
    if constexpr (L > 1)
        if (a.width < L) return pad_rows<shorter, In>(a, source, out, begin, end, fill, convert);
    int64_t const width = a.width, stride = a.event_stride;  // kept from what `out` may overwrite
    int64_t const* const offsets = a.offsets;
    bool const is_short = width <= short_row * L, blank = a.blank;
    auto const empty = broadcast<Vector<Out, L>>(fill);
    // Reading a full row is fine while it stays inside the content.
    int64_t const last = offsets[a.n_events];
    int64_t const reach = ones ? last : a.slot_stride == 1 ? last - width : -1;
    for (int64_t event = begin; event < end; ++event, out += stride) {
        int64_t const start = offsets[event];
        int64_t const n = smaller(offsets[event + 1] - start, width);
        if (start <= reach)
            pad_row<L>(source.from(start), n, width, is_short, blank, empty, out, convert);
        else
            pad_slots(source.from(start), n, a, out, fill, convert);
    }
}

template <class In, class Out>
void pad_column(PaddingArgs<Out> const& a, int64_t column, Out* out, int64_t begin, int64_t end) {
    PaddingColumn const& c = a.columns[column];
    auto const* values = static_cast<In const*>(c.data);
    Out fill;
    __builtin_memcpy(&fill, &c.fill, sizeof fill);
    auto rows = [&](auto convert) {
        constexpr int lanes = decltype(convert)::lanes;
        if (a.order)
            pad_rows<4, In>(a, Ordered<In>{values, a.order, a.offsets[0]}, out, begin, end, fill,
                            convert);
        else
            pad_rows<lanes, In>(a, Stored<In>{values}, out, begin, end, fill, convert);
    };
    if constexpr (std::is_floating_point_v<Out>) {
        using C = Compute<In, Out>;
        Standardise<In, Out> const all{static_cast<C>(c.mean), static_cast<C>(c.inverse_scale),
                                       static_cast<C>(c.low), static_cast<C>(c.high)};
        bool const replaces = a.nan == a.nan;
        // Integers have no NaN, and all of their bits only where nothing is computed.
        if (replaces && (a.standardise || std::is_floating_point_v<In>))
            return rows(Clean<In, Out>{all, static_cast<Out>(a.nan)});
        if (a.standardise) return rows(all);
    }
    rows(Cast<In, Out>{});
}

template <class Out>
void pad_any_column(PaddingArgs<Out> const& a, int64_t column, Out* out, int64_t b, int64_t e) {
    if constexpr (std::is_floating_point_v<Out>) {
        visit_dtype(a.columns[column].dtype,
                    [&](auto zero) { pad_column<decltype(zero)>(a, column, out, b, e); });
    } else {
        pad_column<Out>(a, column, out, b, e);  // bits of the same size
    }
}

// i % n of 2 L numbers, for each n < L: which lanes of a register repeat its first n.
template <class Index, int L>
struct Turns {
    Index of[L][2 * L];
    constexpr Turns() : of{} {
        for (int n = 1; n < L; ++n)
            for (int i = 0; i < 2 * L; ++i) of[n][i] = static_cast<Index>(i % n);
    }
};

// Slots n .. width - 1 of a row: slot k is slot k - n. 0 < n < width, L <= width.
template <int L, class Out>
void wrap_row(Out* row, int64_t n, int64_t width) {
    using Values = Vector<Out, L>;
    int64_t const end = width - L;
    if constexpr (L > 1)
        if (n < L) {  // a register holds all of the event: it is written again and again
            using Index = Integer<sizeof(Out)>;
            static constexpr Turns<Index, L> turns;
            auto const first = load<Values>(row);
            auto turned = [&](uint32_t by) {
                return __builtin_shuffle(first, load<Vector<Index, L>>(turns.of[n] + by));
            };
            auto const few = static_cast<uint32_t>(n);
            Values const again = turned(0);
            for (int64_t k = 0; k < end; k += L - L % few) store(again, row + k);
            return store(turned(static_cast<uint32_t>(end) % few), row + end);
        }
    int64_t k = n;
    for (; k <= end; k += L) store(load<Values>(row + k - n), row + k);
    if (end >= n) return store(load<Values>(row + end - n), row + end);
    for (; k < width; ++k) row[k] = row[k - n];
}

// The same for a padded column of events begin .. end - 1. A pass of its own: a rare case inside
// the loop over events takes registers from all others.
template <int L, class Out>
void wrap_rows(PaddingArgs<Out> const& a, Out* out, int64_t begin, int64_t end) {
    if constexpr (L > 1)
        if (a.width < L) return wrap_rows<L / 2>(a, out, begin, end);
    int64_t const width = a.width, stride = a.slot_stride;
    for (int64_t event = begin; event < end; ++event, out += a.event_stride) {
        int64_t const n = a.offsets[event + 1] - a.offsets[event];
        if (n == 0 || n >= width) continue;
        if (stride == 1)
            wrap_row<L>(out, n, width);
        else
            for (int64_t k = n; k < width; ++k) out[k * stride] = out[(k - n) * stride];
    }
}

// All columns of a block of events, the first event's slots at `out`.
template <class Out>
void pad_columns(PaddingArgs<Out> const& a, Out* out, int64_t begin, int64_t end) {
    for (int64_t column = 0; column < a.n_columns; ++column) {
        Out* const first = out + column * a.column_stride;
        pad_any_column(a, column, first, begin, end);
        if (a.wrap) wrap_rows<register_bytes / sizeof(Out)>(a, first, begin, end);
    }
}

// (event, column, slot) to (event, slot, column), element by element; a known number of columns
// unrolls.
template <int columns, class Out>
void interleave(Out const* from, Out* to, int64_t n_events, int64_t width, int64_t n_columns) {
    int64_t const n = columns ? columns : n_columns;
    for (int64_t event = 0; event < n_events; ++event, from += width * n)
        for (int64_t k = 0; k < width; ++k)
            for (int64_t column = 0; column < n; ++column) *to++ = from[column * width + k];
}

// The same in squares of four columns by four slots; the last ones overlap. Only the first `slots`
// of an event, and what is in a square with them.
template <class Out>
void interleave_squares(Out const* from, Out* to, int64_t n_events, int64_t width, int64_t n,
                        int64_t slots) {
    using Four = Vector<Out, 4>;
    using Indices = Vector<Integer<sizeof(Out)>, 4>;
    for (int64_t event = 0; event < n_events; ++event, from += width * n, to += width * n)
        for (int64_t c = 0; c < n; c += 4) {
            int64_t const column = smaller(c, n - 4);
            for (int64_t k = 0; k < slots; k += 4) {
                int64_t const slot = smaller(k, width - 4);
                Four in[4];
                for (int i = 0; i < 4; ++i) in[i] = load<Four>(from + (column + i) * width + slot);
                Four const low01 = __builtin_shuffle(in[0], in[1], Indices{0, 4, 1, 5});
                Four const low23 = __builtin_shuffle(in[2], in[3], Indices{0, 4, 1, 5});
                Four const high01 = __builtin_shuffle(in[0], in[1], Indices{2, 6, 3, 7});
                Four const high23 = __builtin_shuffle(in[2], in[3], Indices{2, 6, 3, 7});
                Four const out[] = {__builtin_shuffle(low01, low23, Indices{0, 1, 4, 5}),
                                    __builtin_shuffle(low01, low23, Indices{2, 3, 6, 7}),
                                    __builtin_shuffle(high01, high23, Indices{0, 1, 4, 5}),
                                    __builtin_shuffle(high01, high23, Indices{2, 3, 6, 7})};
                for (int i = 0; i < 4; ++i) store(out[i], to + (slot + i) * n + column);
            }
        }
}

template <class Out>
void interleave_any(Out const* from, Out* to, int64_t n_events, int64_t width, int64_t n,
                    int64_t slots) {
    if constexpr (sizeof(Out) == 4)
        if (n >= 4 && width >= 4) return interleave_squares(from, to, n_events, width, n, slots);
    switch (n) {
        case 2: return interleave<2>(from, to, n_events, width, n);
        case 3: return interleave<3>(from, to, n_events, width, n);
        case 4: return interleave<4>(from, to, n_events, width, n);
        default: return interleave<0>(from, to, n_events, width, n);
    }
}

// The mask is a column of ones, padded with zeros.
void pad_mask(int64_t const* offsets, int64_t n_events, int64_t width, uint8_t* mask, int64_t begin,
              int64_t end) {
    PaddingArgs<uint8_t> a{};
    a.offsets = offsets;
    a.n_events = n_events;
    a.width = a.event_stride = width;
    a.slot_stride = 1;
    pad_rows<register_bytes, uint8_t>(a, Ones{}, mask + begin * width, begin, end, uint8_t{0},
                                      Cast<uint8_t, uint8_t>{});
}

}  // namespace

template <class Out>
void padding_range(PaddingArgs<Out> const& a, int64_t begin, int64_t end) {
    int64_t const size = a.event_stride * static_cast<int64_t>(sizeof(Out));
    int64_t const staged_events = a.slot_stride == 1 ? 0 : stage_bytes / size;
    if (staged_events == 0) {
        int64_t const block = larger(1, block_bytes / size);
        for (int64_t b = begin; b < end; b += block) {
            int64_t const e = smaller(end, b + block);
            pad_columns(a, a.out + b * a.event_stride, b, e);
            if (a.mask) pad_mask(a.offsets, a.n_events, a.width, a.mask, b, e);
        }
        return;
    }
    // Columns are innermost, where writing in place would stride.
    alignas(64) Out stage[stage_bytes / sizeof(Out)];  // (event, column, slot)
    // A tensor that no cache holds is written past them: a block is made in L1 first.
    alignas(64) Out packed[stage_bytes / sizeof(Out)];  // (event, slot, column)
    bool const past = size % line == 0 && a.n_events * size >= past_cache &&
                      reinterpret_cast<uintptr_t>(a.out) % line == 0;
    bool const alone = staged_events == 1 && !a.wrap;
    int64_t before = a.width;
    PaddingArgs<Out> staged = a;
    staged.slot_stride = 1;
    staged.blank = false;  // the stage is not
    staged.column_stride = a.width;
    for (int64_t b = begin; b < end; b += staged_events) {
        int64_t const e = smaller(end, b + staged_events);
        pad_columns(staged, stage, b, e);
        Out* const out = a.out + b * a.event_stride;
        if (past) {
            // Behind the particles of a long event, and of the one before it, `packed` has the
            // fill.
            int64_t const n = alone ? smaller(a.offsets[e] - a.offsets[b], a.width) : a.width;
            interleave_any(stage, packed, e - b, a.width, a.n_columns, larger(n, before));
            before = n;
            stream(reinterpret_cast<uint8_t*>(out), reinterpret_cast<uint8_t const*>(packed),
                   (e - b) * size);
        } else {
            interleave_any(stage, out, e - b, a.width, a.n_columns, a.width);
        }
        if (a.mask) pad_mask(a.offsets, a.n_events, a.width, a.mask, b, e);
    }
    if (past) streamed();
}

#define FASTJAG_PADDING(T) template void padding_range(PaddingArgs<T> const&, int64_t, int64_t);
FASTJAG_FOR_PADDING_TYPES(FASTJAG_PADDING)

}  // namespace fastjag::FASTJAG_ISA
