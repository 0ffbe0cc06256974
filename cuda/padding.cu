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

struct Columns {
    PaddingColumn column[most_columns];
};

// The same in shared memory, member by member: lanes with different columns read without conflict.
struct Table {
    void const* data[most_columns];
    double mean[most_columns], inverse_scale[most_columns];
    double low[most_columns], high[most_columns];
    uint64_t fill[most_columns];
    int dtype[most_columns];
};

// A cell, or a distance between cells: the last axis is the slot or the column. Steps are added
// digit by digit, because to divide a 64-bit index costs more than the cell.
struct Cell {
    int64_t event, middle, last;
};

struct Shape {
    int64_t middle, last;
};

__host__ __device__ inline Cell cell_at(int64_t index, Shape shape) {
    int64_t const row = index / shape.last;
    return {row / shape.middle, row % shape.middle, index % shape.last};
}

__device__ inline void advance(Cell& at, Cell const& step, Shape shape) {
    at.last += step.last;
    bool const next_row = at.last >= shape.last;
    if (next_row) at.last -= shape.last;
    at.middle += step.middle + next_row;
    bool const next_event = at.middle >= shape.middle;
    if (next_event) at.middle -= shape.middle;
    at.event += step.event + next_event;
}

template <class In, class Out>
FASTJAG_HD Out convert(PaddingArgs<Out> const& a, Table const& table, int column, int64_t i) {
    In const x = static_cast<In const*>(table.data[column])[i];
    if (!a.standardise) return static_cast<Out>(x);
    using C = Compute<In, Out>;
    return static_cast<Out>(standardise(static_cast<C>(x), static_cast<C>(table.mean[column]),
                                        static_cast<C>(table.inverse_scale[column]),
                                        static_cast<C>(table.low[column]),
                                        static_cast<C>(table.high[column])));
}

template <class Out>
FASTJAG_HD Out value_of(PaddingArgs<Out> const& a, Table const& table, int column, int64_t i) {
    if constexpr (std::is_floating_point_v<Out>) {
        Out const value = visit_dtype(static_cast<DType>(table.dtype[column]), [&](auto zero) {
            return convert<decltype(zero)>(a, table, column, i);
        });
        return value == value || a.nan != a.nan ? value : static_cast<Out>(a.nan);
    } else {
        return static_cast<Out const*>(table.data[column])[i];  // bits of the same size
    }
}

template <class Out>
FASTJAG_HD Out fill_of(Table const& table, int column) {
    uint64_t const bits = table.fill[column];  // whole: lanes read side by side
    Out fill;
    memcpy(&fill, &bits, sizeof fill);
    return fill;
}

// Threads of a block take `unrolled` cells each, `near` apart, then those `far` from the last one.
template <class Out>
__global__ void pad_cells(PaddingArgs<Out> a, Columns columns, Shape shape, Cell near, Cell far) {
    FASTJAG_SHARED(Table, table);
    int const own = static_cast<int>(threadIdx.x);
    if (own < a.n_columns) {
        PaddingColumn const& c = columns.column[own];
        table->data[own] = c.data;
        table->mean[own] = c.mean;
        table->inverse_scale[own] = c.inverse_scale;
        table->low[own] = c.low;
        table->high[own] = c.high;
        table->fill[own] = c.fill;
        table->dtype[own] = static_cast<int>(c.dtype);
    }
    __syncthreads();
    bool const slots_inside = a.slot_stride == 1;
    int64_t const* const offsets = a.offsets;
    int64_t const before = a.order ? offsets[0] : 0;
    int64_t const first = int64_t{blockIdx.x} * blockDim.x * unrolled + threadIdx.x;
    for (Cell at = cell_at(first, shape); at.event < a.n_events;) {
        int64_t to[unrolled], from[unrolled];  // -1: none
        int column[unrolled];
#pragma unroll
        for (int k = 0; k < unrolled; ++k) {
            int64_t const slot = slots_inside ? at.last : at.middle;
            column[k] = static_cast<int>(slots_inside ? at.middle : at.last);
            to[k] = from[k] = -1;
            if (at.event < a.n_events) {
                to[k] =
                    at.event * a.event_stride + slot * a.slot_stride + column[k] * a.column_stride;
                int64_t const start = offsets[at.event], n = offsets[at.event + 1] - start;
                int64_t particle = slot;
                if (a.wrap && n > 0 && n <= slot)  // both fit: 64 bits cost 8 registers
                    particle = static_cast<uint32_t>(slot) % static_cast<uint32_t>(n);
                if (particle < n) from[k] = start - before + particle;
            }
            advance(at, k + 1 < unrolled ? near : far, shape);
        }
        if (a.order) {
#pragma unroll
            for (int k = 0; k < unrolled; ++k)
                if (from[k] >= 0) from[k] = a.order[from[k]];
        }
        Out value[unrolled];
#pragma unroll
        for (int k = 0; k < unrolled; ++k)
            value[k] = from[k] >= 0 ? value_of(a, *table, column[k], from[k])
                                    : fill_of<Out>(*table, column[k]);
#pragma unroll
        for (int k = 0; k < unrolled; ++k)
            if (to[k] >= 0) a.out[to[k]] = value[k];
    }
}

// A thread per 16 bytes of the mask, `head` of which lie before it.
__global__ void pad_mask(int64_t const* offsets, int64_t n_events, int64_t width, uint8_t* mask,
                         int64_t head) {
    int64_t const all = n_events * width;
    for (int64_t part = global_thread(); part * 16 - head < all; part += all_threads()) {
        int64_t const begin = part * 16 - head, end = begin + 16 < all ? begin + 16 : all;
        int64_t i = begin < 0 ? 0 : begin;
        int64_t event = i / width, slot = i % width;
        int64_t n = offsets[event + 1] - offsets[event];
        unsigned words[4] = {};
#pragma unroll
        for (int k = 0; k < 16; ++k) {
            if (begin + k < i || i >= end) continue;
            if (slot == width) {
                slot = 0;
                ++event;
                n = offsets[event + 1] - offsets[event];
            }
            words[k / 4] |= unsigned{slot < n} << (k % 4 * 8);
            ++slot;
            ++i;
        }
        if (end - begin == 16 && begin >= 0) {
            *reinterpret_cast<uint4*>(mask + begin) = {words[0], words[1], words[2], words[3]};
        } else {
#pragma unroll
            for (int k = 0; k < 16; ++k)
                if (begin + k >= 0 && begin + k < end)
                    mask[begin + k] = static_cast<uint8_t>(words[k / 4] >> (k % 4 * 8));
        }
    }
}

}  // namespace

template <class Out>
void padding(PaddingArgs<Out> const& a, Stream stream) {
    if (a.n_events == 0) return;
    for (int64_t first = 0; first < a.n_columns; first += most_columns) {
        PaddingArgs<Out> part = a;
        part.columns = nullptr;
        part.n_columns = a.n_columns - first < most_columns ? a.n_columns - first : most_columns;
        part.out = a.out + first * a.column_stride;
        Columns columns{};
        for (int64_t c = 0; c < part.n_columns; ++c) columns.column[c] = a.columns[first + c];
        Shape const shape =
            a.slot_stride == 1 ? Shape{part.n_columns, a.width} : Shape{a.width, part.n_columns};
        int64_t const cells = a.n_events * a.width * part.n_columns;
        int64_t const blocks = blocks_for(cells, block_threads * unrolled);
        int64_t const row = block_threads * (unrolled - 1);
        Cell const near = cell_at(block_threads, shape);
        Cell const far = cell_at(blocks * block_threads * unrolled - row, shape);
        FASTJAG_LAUNCH((pad_cells<Out>), blocks, block_threads, sizeof(Table), stream, part,
                       columns, shape, near, far);
    }
    if (a.mask) {
        auto const head = static_cast<int64_t>(reinterpret_cast<uintptr_t>(a.mask) % 16);
        int64_t const blocks = blocks_for((a.n_events * a.width + head + 15) / 16, block_threads);
        FASTJAG_LAUNCH(pad_mask, blocks, block_threads, 0, stream, a.offsets, a.n_events, a.width,
                       a.mask, head);
    }
}

#define FASTJAG_PADDING(T) template void padding(PaddingArgs<T> const&, Stream);
FASTJAG_FOR_PADDING_TYPES(FASTJAG_PADDING)

}  // namespace fastjag
