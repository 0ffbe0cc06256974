// pyramid: from points to cells on nested grids, to sparse features, to an index of who has what.
#include "fastjag/pyramid.hpp"

#include <algorithm>
#include <atomic>

#include "fastjag/kernels.hpp"
#include "parallel.hpp"

namespace fastjag {
namespace {

using namespace FASTJAG_ISA;

// Spreading a byte at a time by a table, made once per call.
struct Spreader {
    uint64_t table[256];
    int64_t n_axes;

    explicit Spreader(int64_t axes) : n_axes(axes) {
        for (uint64_t byte = 0; byte < 256; ++byte) table[byte] = spread_bits(byte, axes);
    }
    uint64_t operator()(uint64_t cell) const {
        uint64_t code = table[cell & 255];
        for (int64_t shift = 8; cell >> shift != 0; shift += 8)
            code |= table[cell >> shift & 255] << (shift * n_axes);
        return code;
    }
};

void sort_codes(uint64_t* codes, int64_t n) {
    if (n > 32) {
        std::sort(codes, codes + n);
        return;
    }
    for (int64_t i = 1; i < n; ++i) {
        uint64_t const code = codes[i];
        int64_t j = i;
        for (; j > 0 && codes[j - 1] > code; --j) codes[j] = codes[j - 1];
        codes[j] = code;
    }
}

// The cells of one event. Its codes ascend, so that a point mostly shares the coarse cells of the
// one before it; the others are looked for among the children of the cell above.
void find_cells(PyramidTree const& tree, uint64_t const* codes, int64_t n, int32_t* cells) {
    int64_t const top = tree.n_levels - 1;
    for (int64_t i = 0; i < n; ++i) {
        int64_t level = top;
        if (i > 0)
            for (; level >= 0; --level) {
                if ((codes[i] ^ codes[i - 1]) >> (tree.n_axes * level) != 0) break;
                cells[level * n + i] = cells[level * n + i - 1];
            }
        for (; level >= 0; --level) {
            int64_t from = tree.first[top], to = tree.first[top + 1];  // siblings, ascending
            if (level < top) {
                int64_t const parent = cells[(level + 1) * n + i];
                from = parent < 0 ? 0 : tree.child[parent];
                to = parent < 0 ? 0 : tree.child[parent + 1];
            }
            int64_t const cell = find_cell(tree.cells, from, to, codes[i] >> (tree.n_axes * level));
            cells[level * n + i] = static_cast<int32_t>(cell);
        }
    }
}

// Calls visit(cell, k) for all known cells of an event, k = 0, 1, .. counting its points in each.
// Equal cells stand side by side.
template <class Visit>
void count_points(int32_t const* cells, int64_t n, Visit const& visit) {
    int32_t previous = -1, k = 0;
    for (int64_t i = 0; i < n; ++i) {
        int32_t const cell = cells[i];
        k = cell == previous ? k + 1 : 0;
        previous = cell;
        if (cell >= 0) visit(cell, k);
    }
}

void raise_to(int32_t& most, int32_t value) {
    std::atomic_ref<int32_t> shared(most);
    int32_t seen = shared.load(std::memory_order_relaxed);
    while (seen < value && !shared.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
    }
}

}  // namespace

void pyramid_codes(PyramidCodesArgs const& a, Threads threads) {
    Spreader const spread(a.n_axes);
    parallel_events(
        a.offsets, a.n_events, 1, threads,
        [&](int64_t begin, int64_t end, int) {
            for (int64_t event = begin; event < end; ++event) {
                int64_t const first = a.offsets[event], n = a.offsets[event + 1] - first;
                for (int64_t p = 0; p < a.n_pyramids; ++p) {
                    uint64_t* const codes = a.codes + a.n_pyramids * first + p * n;
                    for (int64_t i = 0; i < n; ++i)
                        codes[i] = pyramid_code(a, a.axes, a.n_axes, p, first + i, spread);
                    sort_codes(codes, n);  // pyramids ascend in their highest bits already
                }
            }
        },
        8 * a.n_axes);
}

void pyramid_cells(PyramidCellsArgs const& a, Threads threads) {
    int64_t const levels = a.tree.n_levels;
    parallel_events(
        a.offsets, a.n_events, 1, threads,
        [&](int64_t begin, int64_t end, int) {
            for (int64_t event = begin; event < end; ++event) {
                int64_t const first = a.offsets[event], n = a.offsets[event + 1] - first;
                int32_t* const cells = a.cells + levels * first;
                find_cells(a.tree, a.codes + first, n, cells);
                if (a.most)
                    count_points(cells, levels * n, [&](int32_t cell, int32_t k) {
                        if (k > 0) raise_to(a.most[cell], k + 1);
                    });
            }
        },
        16 * levels);
}

void pyramid_features(PyramidFeaturesArgs const& a, Threads threads) {
    parallel_events(a.offsets, a.n_events, 1, threads, [&](int64_t begin, int64_t end, int) {
        for (int64_t event = begin; event < end; ++event) {
            int64_t const first = a.offsets[event];
            int64_t known = 0;
            int32_t* const to = a.features ? a.features + a.out_offsets[event] : nullptr;
            count_points(a.cells + first, a.offsets[event + 1] - first,
                         [&](int32_t cell, int32_t k) {
                             if (k >= a.base[cell + 1] - a.base[cell]) return;
                             if (to) to[known] = a.base[cell] + k;
                             ++known;
                         });
            if (a.counts) a.counts[event] = known;
        }
    });
}

// One thread sets bits, another one writes lists: both go through all features.
void pyramid_index(PyramidIndexArgs const& a, Threads threads) {
    constexpr int64_t words = pyramid_tile / 64;
    auto set_bits = [&] {
        for (int64_t event = 0; event < a.n_events; ++event) {
            uint64_t* const tile = a.planes + event / pyramid_tile * a.n_planes * words;
            int64_t const column = event % pyramid_tile;
            for (int64_t i = a.offsets[event]; i < a.offsets[event + 1]; ++i) {
                int64_t const plane = a.plane[a.features[i]];
                if (plane >= 0) tile[plane * words + column / 64] |= uint64_t{1} << (column % 64);
            }
        }
    };
    auto write_lists = [&] {
        for (int64_t event = 0; event < a.n_events; ++event)
            for (int64_t i = a.offsets[event]; i < a.offsets[event + 1]; ++i) {
                int32_t const feature = a.features[i];
                if (a.plane[feature] < 0)
                    a.postings[a.cursor[feature]++] = static_cast<int32_t>(event);
            }
    };
    bool const two = useful_parts(a.offsets[a.n_events] - a.offsets[0], threads) > 1;
    run_parts(two ? 2 : 1, [&](int part) {
        if (part == 0) set_bits();
        if (part == 1 || !two) write_lists();
    });
}

template <class T>
void largest(LargestArgs<T> const& a, Threads threads) {
    int64_t const parts = useful_parts(a.n_rows * a.n_columns, threads);
    auto run = [&](int part) {
        int64_t since = 0;
        for (int64_t row = a.n_rows * part / parts; row < a.n_rows * (part + 1) / parts; ++row) {
            T const* const values = a.values + row * a.n_columns;
            int64_t const skip = a.exclude ? a.exclude[row] : -1;
            int64_t* const index = a.index + row * a.k;
            T* const best = a.largest + row * a.k;
            int64_t found = 0;
            for (int64_t j = 0; j < a.n_columns; ++j) {
                // Later columns lose ties, so what is not above the smallest kept is out.
                if ((found == a.k && !(values[j] > best[a.k - 1])) || j == skip) continue;
                int64_t at = found < a.k ? found++ : a.k - 1;
                for (; at > 0 && best[at - 1] < values[j]; --at) {
                    best[at] = best[at - 1];
                    index[at] = index[at - 1];
                }
                best[at] = values[j];
                index[at] = j;
            }
            for (; found < a.k; ++found) {
                index[found] = -1;
                best[found] = 0;
            }
            since += a.n_columns;
            if (since < look_interval) continue;
            if (must_stop(threads)) return;
            since = 0;
        }
    };
    run_parts(static_cast<int>(parts), run, threads.interrupt);
}

template void largest(LargestArgs<float> const&, Threads);

}  // namespace fastjag
