// Slots of a block of values at a time, in vector registers where edges are equidistant.
#pragma once

#include <cmath>

#include "fastjag/binning.hpp"
#include "vectors.hpp"

namespace fastjag::FASTJAG_ISA {

constexpr int64_t slots_block = 256;  // values that are in doubt together

// The slot of a value is x * scale + shift rounded to an integer, computed in F. False if some
// value is closer to an edge than rounding errors reach: the edges must then be looked at.
template <class F, class T>
bool round_to_slots(T const* x, int64_t n, HistogramAxis const& axis, F margin, int32_t* out) {
    constexpr F magic = sizeof(F) == 4 ? F(0x1.8p23) : F(0x1.8p52);  // adding it rounds
    F const scale = static_cast<F>(axis.scale);
    F const shift = static_cast<F>(axis.shift);
    F const top = static_cast<F>(axis.n_bins + 1);
    F const sure = F(0.5) - margin;
    int32_t const nan = nan_slot(axis);
    int32_t unsure = 0;
    for (int64_t i = 0; i < n; ++i) {
        auto const value = static_cast<F>(x[i]);
        F at = value * scale + shift;
        at = at > 0 ? at : 0;  // also NaN
        at = at < top ? at : top;
        F const slot = (at + magic) - magic;
        unsure |= std::fabs(at - slot) > sure ? -1 : 0;
        out[i] = value == value ? static_cast<int32_t>(slot) : nan;
    }
    return !unsure;
}

template <class T>
void find_slots(T const* x, int64_t n, HistogramAxis const& axis, int32_t* out) {
    for (; n > slots_block; x += slots_block, out += slots_block, n -= slots_block)
        find_slots(x, slots_block, axis, out);
    // Too small a margin in float leaves most blocks in doubt.
    if (sizeof(T) == 4 && axis.margin_single < 1e-3f
            ? round_to_slots<float>(x, n, axis, axis.margin_single, out)
            : axis.margin < 0.5 && round_to_slots<double>(x, n, axis, axis.margin, out))
        return;
    if (axis.n_cells == 0) {
        for (int64_t i = 0; i < n; ++i) out[i] = slot_of(static_cast<double>(x[i]), axis);
        return;
    }
    // look_up(), one step at a time for the whole block: each is a simple loop.
    if (axis.logarithmic)
        for (int64_t i = 0; i < n; ++i) out[i] = cell_of<true>(static_cast<double>(x[i]), axis);
    else
        for (int64_t i = 0; i < n; ++i) out[i] = cell_of<false>(static_cast<double>(x[i]), axis);
    if (axis.first)
        for (int64_t i = 0; i < n; ++i) out[i] = axis.first[out[i]];
    for (int64_t step = 0; step < axis.steps; ++step)
        for (int64_t i = 0; i < n; ++i) out[i] += static_cast<double>(x[i]) >= axis.edges[out[i]];
    int32_t const nan = nan_slot(axis);
    for (int64_t i = 0; i < n; ++i) out[i] = x[i] == x[i] ? out[i] : nan;
}

// The sums of w and of w^2 lie side by side.
using Pair = Vector<double, 2>;
FASTJAG_HD void add_to(double* sums, Pair pair) { store(load<Pair>(sums) + pair, sums); }

// Asks for 16 values ahead of their use: counting keeps too many instructions in flight for the
// processor to see so far.
template <class T>
FASTJAG_HD void prefetch(T const* from) {
    __builtin_prefetch(from);
    if (sizeof(T) == 8) __builtin_prefetch(from + 8);
}

}  // namespace fastjag::FASTJAG_ISA
