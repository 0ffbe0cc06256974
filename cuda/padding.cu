// padding: jagged columns into a dense tensor, with truncation, fill, order, standardise and cast.
//
// A thread per cell of the tensor, neighbours in memory side by side, so that whole sectors are
// written, pads included.
#include "fastjag/padding.hpp"

#include <cstring>
#include <type_traits>

#include "fastjag/dtypes.hpp"
#include "launch.cuh"

namespace fastjag {
using namespace FASTJAG_ISA;
namespace {

constexpr int64_t most_columns = 64;  // of a launch: they travel as its arguments, 4 KB at most
constexpr int unrolled = 4;           // cells of a thread that are read at the same time
constexpr int64_t block_cells = block_threads * unrolled;

// Cells of a launch, which 32 bits count. (The emulation has less, so that tests go beyond.)
#ifndef FASTJAG_MOST_CELLS
#define FASTJAG_MOST_CELLS (int64_t{1} << 31)
#endif
constexpr int64_t most_cells = FASTJAG_MOST_CELLS;

// Columns of one dtype, and where they stand among those of the tensor.
struct Columns {
    PaddingColumn column[most_columns];
    int32_t place[most_columns];
};

// The same in shared memory, member by member, in the types that cells need.
template <class In, class Out>
struct Table {
    using C = Compute<In, Out>;
    In const* data[most_columns];
    C mean[most_columns], inverse_scale[most_columns], low[most_columns], high[most_columns];
    Out fill[most_columns];
    int32_t place[most_columns];
};

// Quotients of numbers below 2^31 by one multiplication (Granlund and Montgomery, PLDI 1994, with
// 31 bits): the factor is 2^(31 + shift) / divisor, rounded up, where divisor <= 2^shift.
struct Division {
    uint32_t divisor, factor, shift = 0;

    explicit Division(int64_t by) : divisor(static_cast<uint32_t>(by)) {
        while ((int64_t{1} << shift) < by) ++shift;
        factor = static_cast<uint32_t>((uint64_t{1} << (31 + shift)) / divisor + 1);
    }
    __device__ uint32_t quotient(uint32_t n) const { return __umulhi(2 * n, factor) >> shift; }
};

// The axes of a launch's cells: events, then slots and columns, either of them the last.
struct Axes {
    Division last, middle;
    bool slots_last;
    uint32_t cells;
    int64_t const* first_offset;  // of all events: `order` counts from there
};

// What is read, in a register: bytes as int, which would else be cut to bytes again.
template <class In>
using Promoted = decltype(+In{});

template <bool standardised, class In, class Out>
__device__ Out convert(Table<In, Out> const& table, uint32_t column, Promoted<In> x) {
    if constexpr (!standardised) return static_cast<Out>(x);
    using C = Compute<In, Out>;
    return static_cast<Out>(standardise(static_cast<C>(x), table.mean[column],
                                        table.inverse_scale[column], table.low[column],
                                        table.high[column]));
}

// n cells, a block's threads apart. All are read at the same time.
template <int n, class In, class Out, bool standardised, bool whole, class Index>
__device__ void pad_some(PaddingArgs<Out> const& a, Table<In, Out> const& table, Axes const& axes,
                         Index before, uint32_t first) {
    Index from[n], to[n];
    uint32_t column[n];
    bool filled[n];
#pragma unroll
    for (int k = 0; k < n; ++k) {
        uint32_t const at = first + k * static_cast<uint32_t>(block_threads);
        uint32_t const row = axes.last.quotient(at), event = axes.middle.quotient(row);
        uint32_t const last = at - row * axes.last.divisor;
        uint32_t const middle = row - event * axes.middle.divisor;
        uint32_t const slot = axes.slots_last ? last : middle;
        column[k] = axes.slots_last ? middle : last;
        int64_t const* const bounds = a.offsets + event;
        auto const start = static_cast<Index>(bounds[0]);
        Index const size = static_cast<Index>(bounds[1]) - start;
        Index particle = slot;
        if constexpr (!whole) {
            to[k] =
                event * static_cast<Index>(a.event_stride) +
                slot * static_cast<Index>(a.slot_stride) +
                static_cast<Index>(table.place[column[k]]) * static_cast<Index>(a.column_stride);
            if (a.wrap && size > 0 && size <= slot)  // both fit into 32 bits
                particle = slot % static_cast<uint32_t>(size);
        }
        filled[k] = particle < size;
        from[k] = start - before + particle;
    }
    if (a.order) {
#pragma unroll
        for (int k = 0; k < n; ++k)
            if (filled[k]) from[k] = static_cast<Index>(a.order[from[k]]);
    }
    Promoted<In> x[n];
#pragma unroll
    for (int k = 0; k < n; ++k) {
        In const* data = table.data[column[k]];
        FASTJAG_NOW(data);
        x[k] = filled[k] ? +__ldg(data + from[k]) : 0;
    }
    Out value[n];
#pragma unroll
    for (int k = 0; k < n; ++k) {
        Out const converted = convert<standardised>(table, column[k], x[k]);
        value[k] = filled[k] ? converted : table.fill[column[k]];
    }
    if constexpr (std::is_floating_point_v<Out> && (standardised || std::is_floating_point_v<In>))
        if (a.nan == a.nan) {
#pragma unroll
            for (int k = 0; k < n; ++k)
                if (filled[k] && value[k] != value[k]) value[k] = static_cast<Out>(a.nan);
        }
    Out* const out = a.out + (whole ? first : 0);
#pragma unroll
    for (int k = 0; k < n; ++k)
        if constexpr (whole)
            out[k * block_threads] = value[k];
        else
            out[to[k]] = value[k];
}

// Whole: the columns are all of the tensor, and particles are not repeated. Index: of particles,
// and of the tensor's elements.
template <class In, class Out, bool standardised, bool whole, class Index>
__global__ void pad_cells(PaddingArgs<Out> a, Columns columns, Axes axes) {
    using Particles = Table<In, Out>;
    FASTJAG_SHARED(Particles, table);
    int const own = static_cast<int>(threadIdx.x);
    if (own < a.n_columns) {
        using C = typename Particles::C;
        PaddingColumn const& c = columns.column[own];
        table->data[own] = static_cast<In const*>(c.data);
        table->mean[own] = static_cast<C>(c.mean);
        table->inverse_scale[own] = static_cast<C>(c.inverse_scale);
        table->low[own] = static_cast<C>(c.low);
        table->high[own] = static_cast<C>(c.high);
        memcpy(&table->fill[own], &c.fill, sizeof(Out));
        table->place[own] = columns.place[own];
    }
    __syncthreads();
    auto const before = static_cast<Index>(a.order ? *axes.first_offset : 0);
    constexpr auto step = static_cast<uint32_t>(block_cells);
    for (uint32_t tile = blockIdx.x * step; tile < axes.cells; tile += gridDim.x * step) {
        uint32_t const first = tile + threadIdx.x;
        if (axes.cells - tile >= step) {
            pad_some<unrolled, In, Out, standardised, whole>(a, *table, axes, before, first);
        } else {
            for (uint32_t at = first; at < axes.cells; at += static_cast<uint32_t>(block_threads))
                pad_some<1, In, Out, standardised, whole>(a, *table, axes, before, at);
        }
    }
}

// A thread per 8 bytes of the mask, `head` of which lie before it.
constexpr uint32_t mask_bytes = 8;
__global__ void pad_mask(int64_t const* offsets, Division width, uint32_t cells, uint8_t* mask,
                         uint32_t head) {
    constexpr uint64_t trues = 0x0101010101010101;
    uint32_t const parts = (cells + head + mask_bytes - 1) / mask_bytes;
    for (auto part = static_cast<uint32_t>(global_thread()); part < parts;
         part += static_cast<uint32_t>(all_threads())) {
        uint32_t const begin = part == 0 ? 0 : part * mask_bytes - head;
        uint32_t const n = smaller((part + 1) * mask_bytes - head, cells) - begin;
        uint32_t event = width.quotient(begin), slot = begin - event * width.divisor;
        int64_t start = offsets[event];
        uint64_t bytes = 0;
#pragma unroll 1
        for (uint32_t k = 0; k < n; slot = 0) {  // cells of one event after those of another
            int64_t const end = offsets[++event], left = end - start - slot;
            uint32_t const there = smaller(width.divisor - slot, n - k);
            if (left > 0) {
                auto const real = static_cast<uint32_t>(smaller(left, int64_t{there}));
                bytes |= trues >> (64 - 8 * real) << (8 * k);
            }
            k += there;
            start = end;
        }
        if (n == mask_bytes) {
            *reinterpret_cast<uint64_t*>(mask + begin) = bytes;
        } else {
#pragma unroll 1
            for (uint32_t k = 0; k < n; ++k) mask[begin + k] = static_cast<uint8_t>(bytes >> 8 * k);
        }
    }
}

// A launch: a.n_columns columns of one dtype.
template <class In, class Out, bool standardised, bool whole, class Index>
void launch_cells(PaddingArgs<Out> const& a, Columns const& columns, int64_t const* first_offset,
                  Stream stream) {
    int64_t const cells = a.n_events * a.width * a.n_columns;
    bool const slots_last = a.slot_stride == 1;
    Axes const axes{Division(slots_last ? a.width : a.n_columns),
                    Division(slots_last ? a.n_columns : a.width), slots_last,
                    static_cast<uint32_t>(cells), first_offset};
    FASTJAG_LAUNCH((pad_cells<In, Out, standardised, whole, Index>), blocks_for(cells, block_cells),
                   block_threads, sizeof(Table<In, Out>), stream, a, columns, axes);
}

// Events of a launch with so many cells each: a multiple of 32 of them fills whole sectors.
int64_t group_of(int64_t cells) {
    int64_t const most = larger(1, (most_cells - 16) / cells);
    return most < 32 ? most : most & ~31;
}

// Events in as many launches as their cells need.
template <class In, class Out, bool standardised>
void pad_events(PaddingArgs<Out> const& a, Columns const& columns, bool whole, Stream stream) {
    int64_t const group = group_of(a.width * a.n_columns);
    for (int64_t first = 0; first < a.n_events; first += group) {
        PaddingArgs<Out> part = a;
        part.offsets = a.offsets + first;
        part.n_events = smaller(group, a.n_events - first);
        part.out = a.out + first * a.event_stride;
        if (larger(part.n_events * a.event_stride, a.n_particles) >= most_cells)
            launch_cells<In, Out, standardised, false, int64_t>(part, columns, a.offsets, stream);
        else if (whole && !a.wrap)
            launch_cells<In, Out, standardised, true, uint32_t>(part, columns, a.offsets, stream);
        else
            launch_cells<In, Out, standardised, false, uint32_t>(part, columns, a.offsets, stream);
    }
}

template <class Out>
void pad_columns(PaddingArgs<Out> const& a, Columns const& columns, DType dtype, bool whole,
                 Stream stream) {
    if constexpr (std::is_floating_point_v<Out>)
        visit_dtype(dtype, [&](auto zero) {
            using In = decltype(zero);
            if (a.standardise)
                pad_events<In, Out, true>(a, columns, whole, stream);
            else
                pad_events<In, Out, false>(a, columns, whole, stream);
        });
    else
        pad_events<Out, Out, false>(a, columns, whole, stream);  // bits of the same size
}

}  // namespace

template <class Out>
void padding(PaddingArgs<Out> const& a, Stream stream) {
    if (a.n_events == 0) return;
    // Launches for the columns of each dtype: no cell has to ask for its own.
    int64_t const most = larger(1, smaller(most_columns, (most_cells - 1) / a.width));
    for (int dtype = 0; dtype <= static_cast<int>(DType::f8); ++dtype) {
        PaddingArgs<Out> part = a;
        part.columns = nullptr;
        part.n_columns = 0;
        Columns columns{};
        auto pad = [&](bool whole) {
            pad_columns(part, columns, static_cast<DType>(dtype), whole, stream);
            part.n_columns = 0;
        };
        for (int64_t c = 0; c < a.n_columns; ++c) {
            if (static_cast<int>(a.columns[c].dtype) != dtype) continue;
            if (part.n_columns == most) pad(false);
            columns.column[part.n_columns] = a.columns[c];
            columns.place[part.n_columns++] = static_cast<int32_t>(c);
        }
        if (part.n_columns > 0) pad(part.n_columns == a.n_columns);
    }
    if (!a.mask) return;
    int64_t const group = group_of(a.width);
    for (int64_t first = 0; first < a.n_events; first += group) {
        uint8_t* const mask = a.mask + first * a.width;
        int64_t const cells = smaller(group, a.n_events - first) * a.width;
        auto const head = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(mask) % mask_bytes);
        FASTJAG_LAUNCH(pad_mask, blocks_for(cells / mask_bytes + 2, block_threads), block_threads,
                       0, stream, a.offsets + first, Division(a.width),
                       static_cast<uint32_t>(cells), mask, head);
    }
}

#define FASTJAG_PADDING(T) template void padding(PaddingArgs<T> const&, Stream);
FASTJAG_FOR_PADDING_TYPES(FASTJAG_PADDING)

}  // namespace fastjag
