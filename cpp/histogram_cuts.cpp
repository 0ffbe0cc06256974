// histogram_cuts: every event counts once, in the class of the highest cut that its score reaches;
// what passes a cut is the sum over the classes from it upwards.
#include "dispatch.hpp"
#include "slots.hpp"

namespace fastjag::FASTJAG_ISA {
namespace {

constexpr int64_t block = HistogramCutsArgs::block;
constexpr int64_t most = HistogramCutsArgs::tile;
constexpr int64_t most_sorted =
    block / 2;  // cells: with fewer entries in each, sorting does not pay

// Calls use(values) with entries first + index[i] of a column (index null: first + i), in a row.
template <class T, class Use>
void values_of(StridedColumn const& column, int64_t first, int32_t const* index, int64_t n,
               Use const& use) {
    T const* from = static_cast<T const*>(column.data) + first * column.stride;
    if (!index && column.stride == 1) return use(from);
    alignas(64) T values[block];
    if (index)
        for (int64_t i = 0; i < n; ++i) values[i] = from[index[i] * column.stride];
    else
        for (int64_t i = 0; i < n; ++i) values[i] = from[i * column.stride];
    use(values);
}

template <class Use>
void each_value(StridedColumn const& column, int64_t first, int32_t const* index, int64_t n,
                Use const& use) {
    if (column.dtype == DType::f4)
        values_of<float>(column, first, index, n, use);
    else
        values_of<double>(column, first, index, n, use);
}

void slots_in(StridedColumn const& column, HistogramAxis const& axis, int64_t first,
              int32_t const* index, int64_t n, int32_t* out) {
    each_value(column, first, index, n, [=, &axis](auto* x) { find_slots(x, n, axis, out); });
}

// Counts, and pairs of w and w^2 with them. The next block of the column is asked for meanwhile.
template <bool weighted>
void count(int32_t const* cells, int64_t n, StridedColumn const& column, int64_t next,
           uint32_t* counts, double const* weights, double* sums) {
    int64_t const size = column.dtype == DType::f4 ? 4 : 8;
    char const* ahead = static_cast<char const*>(column.data) + next * column.stride * size;
    auto add = [=](int64_t i) {
        ++counts[cells[i]];
        if constexpr (weighted) add_to(sums + 2 * int64_t{cells[i]}, load<Pair>(weights + 2 * i));
    };
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __builtin_prefetch(ahead + i * size);
        if (size == 8) __builtin_prefetch(ahead + i * size + 64);
#pragma GCC unroll 16
        for (int64_t k = 0; k < 16; ++k) add(i + k);
    }
    for (; i < n; ++i) add(i);
}

// Replicas of weights lie in tiles of `most`, [tile][entry][lane], with zeros where there are none.
struct Tiles {
    double* data;
    int64_t n;  // tiles
};

// A row of a tile is one line of the cache.
double* aligned(void* scratch) {
    auto const at = reinterpret_cast<uintptr_t>(scratch);
    return reinterpret_cast<double*>((at + 63) / 64 * 64);
}

void fill_tiles(HistogramCutsArgs const& a, int64_t first, int32_t const* index, int64_t n,
                Tiles tiles) {
    alignas(64) double columns[most][block];
    for (int64_t tile = 0; tile < tiles.n; ++tile) {
        for (int64_t k = 0; k < most; ++k) {
            int64_t const which = most * tile + k;
            if (which < a.n_weights)
                each_value(a.weights[which], first, index, n, [&, k](auto const* w) {
                    for (int64_t i = 0; i < n; ++i) columns[k][i] = static_cast<double>(w[i]);
                });
            else
                for (int64_t i = 0; i < n; ++i) columns[k][i] = 0;
        }
        double* out = tiles.data + tile * most * block;
        for (int64_t i = 0; i < n; ++i)
            for (int64_t k = 0; k < most; ++k) out[most * i + k] = columns[k][i];
    }
}

// Adds the entries of one cell in some tiles to its sums, of w and of w^2: in registers, which a
// cell that entries come to at random would leave and enter for each of them.
template <int64_t n_tiles>
void add_run(int16_t const* order, int64_t n, double const* weights, double* sums) {
    using V = Lanes<double>;
    constexpr int64_t parts = most / lanes;
    V first[n_tiles * parts] = {}, second[n_tiles * parts] = {};
    for (int64_t i = 0; i < n; ++i) {
        double const* w = weights + most * order[i];
#pragma GCC unroll 16
        for (int64_t t = 0; t < n_tiles * parts; ++t) {
            V const x = load<V>(w + t / parts * most * block + t % parts * lanes);
            first[t] += x;
            second[t] += x * x;
        }
    }
#pragma GCC unroll 16
    for (int64_t t = 0; t < n_tiles * parts; ++t) {
        double* own = sums + 2 * most * (t / parts) + t % parts * lanes;
        store(load<V>(own) + first[t], own);
        store(load<V>(own + most) + second[t], own + most);
    }
}

// As many tiles at a time as registers hold.
constexpr int64_t group = lanes / 2;

void add_tiles(int32_t const* cells, int64_t n, int64_t n_cells, Tiles tiles, double* sums) {
    int64_t const size = 2 * most * tiles.n;  // of a cell
    if (n < 2 * n_cells) {
        for (int64_t i = 0; i < n; ++i) {
            auto const one = static_cast<int16_t>(i);
            for (int64_t t = 0; t < tiles.n; ++t)
                add_run<1>(&one, 1, tiles.data + t * most * block,
                           sums + size * cells[i] + 2 * most * t);
        }
        return;
    }
    // Entries in the order of their cells.
    alignas(64) int16_t order[block], end[most_sorted + 1];
    for (int64_t c = 0; c <= n_cells; ++c) end[c] = 0;
    for (int64_t i = 0; i < n; ++i) ++end[cells[i] + 1];
    for (int64_t c = 0; c < n_cells; ++c) end[c + 1] = static_cast<int16_t>(end[c + 1] + end[c]);
    for (int64_t i = 0; i < n; ++i) order[end[cells[i]]++] = static_cast<int16_t>(i);
    for (int64_t t = 0; t < tiles.n; t += group) {
        bool const whole = t + group <= tiles.n;
        double const* weights = tiles.data + t * most * block;
        int64_t begin = 0;
        for (int64_t c = 0; c < n_cells; ++c) {
            int64_t const m = end[c] - begin;
            if (m == 0) continue;
            double* own = sums + size * c + 2 * most * t;
            if (whole)
                add_run<group>(order + begin, m, weights, own);
            else
                for (int64_t k = 0; k < tiles.n - t; ++k)
                    add_run<1>(order + begin, m, weights + k * most * block, own + 2 * most * k);
            begin = end[c];
        }
    }
}

}  // namespace

void histogram_cuts_range(HistogramCutsArgs const& a, int64_t begin, int64_t end, int64_t part) {
    int64_t const cells_of_feature = (a.cuts.n_bins + 1) * a.n_slots;
    auto const stride = static_cast<int32_t>(a.n_slots);
    bool const one = a.counts && a.n_weights == 1;
    alignas(64) int32_t passed[block], index[block], rows[block], cells[block];
    alignas(64) double weights[2 * block];  // and their squares, of a single weight
    int64_t const n_tiles = (a.n_weights + most - 1) / most;
    Tiles const tiles{aligned(a.scratch) + part * n_tiles * most * block, n_tiles};
    for (int64_t first = begin; first < end; first += block) {
        int64_t const n = smaller(block, end - first);
        slots_in(a.scores, a.cuts, first, nullptr, n, passed);
        int64_t m = 0;
        for (int64_t i = 0; i < n; ++i) {
            index[m] = static_cast<int32_t>(i);
            rows[m] = (passed[i] - 1) * stride;
            m += reaches_cut(passed[i], a.cuts);
        }
        if (m == 0) continue;
        int32_t const* chosen = m == n ? nullptr : index;
        if (one)
            each_value(a.weights[0], first, chosen, m, [&](auto const* w) {
                for (int64_t i = 0; i < m; ++i) {
                    auto const x = static_cast<double>(w[i]);
                    weights[2 * i] = x;
                    weights[2 * i + 1] = x * x;
                }
            });
        else
            fill_tiles(a, first, chosen, m, tiles);
        for (int64_t f = 0; f < a.n_features; ++f) {
            slots_in(a.features[f], a.axes[f], first, chosen, m, cells);
            for (int64_t i = 0; i < m; ++i) cells[i] += rows[i];
            int64_t const own = (part * a.n_features + f) * cells_of_feature;
            if (one)
                count<true>(cells, m, a.features[f], first + block, a.counts + own, weights,
                            a.sums + 2 * own);
            else if (a.counts)
                count<false>(cells, m, a.features[f], first + block, a.counts + own, nullptr,
                             nullptr);
            if (a.n_weights && !one)
                add_tiles(cells, m, cells_of_feature, tiles, a.sums + 2 * most * n_tiles * own);
        }
    }
}

}  // namespace fastjag::FASTJAG_ISA
