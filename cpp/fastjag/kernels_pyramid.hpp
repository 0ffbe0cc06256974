// The contract of the pyramid kernels: a part of kernels.hpp, which is what others include.
#pragma once
#include <cstdint>

#include "config.hpp"
#include "kernels.hpp"

namespace fastjag {

// ---- pyramid: pyramid-match kernel of sets of points -----------------------------------------

struct PyramidAxis {
    const void* values;  // (n_points,) float or double, finite
    DType dtype;         // f4 or f8
    double low, scale;   // (x - low) * scale: coordinate in cells of the finest level
    bool circular;       // wraps at the extent; otherwise clamped to it
};

// A code holds the whole pyramid of a point: its cell of level l is code >> (n_axes * l). The bits
// above the top level tell the shifted pyramids, and the categories, from one another. All in all
// there are at most 63: codes are shifted by n_axes * level.
struct PyramidCodesArgs {
    const int64_t* offsets;
    int64_t n_events;  // an event is a set
    const PyramidAxis* axes;
    int64_t n_axes;
    int64_t cells;            // of the finest level along an axis, a power of two
    int64_t bits;             // per axis, n_levels - 1
    const int64_t* category;  // per point, 0 .. n_categories - 1, or null
    int64_t n_categories;
    const double* shifts;  // (n_pyramids, n_axes), in finest cells
    int64_t n_pyramids;
    uint64_t* codes;  // event i: n_pyramids * its points, sorted, from n_pyramids * offsets[i] on
};
void pyramid_codes(PyramidCodesArgs const&, Threads);
void pyramid_codes(PyramidCodesArgs const&, Stream);

// All cells that hold a point, level by level from the finest, in the order of their codes. The
// children of cell c, one level below, are child[c] .. child[c + 1] - 1.
struct PyramidTree {
    int64_t n_levels, n_axes;
    const int64_t* first;   // (n_levels + 1,): first cell of each level
    const uint64_t* cells;  // code of the cell, in units of its level
    const int64_t* child;   // (n_cells + 1,)
};

struct PyramidCellsArgs {    // the cell, or -1, of every point on every level
    const int64_t* offsets;  // of codes
    int64_t n_events;
    const uint64_t* codes;  // sorted within each event
    int64_t n_codes;        // of all events
    PyramidTree tree;
    int32_t* cells;  // event i: level by level from the finest, from n_levels * offsets[i] on
    int32_t* most;   // (n_cells,): most points of one event in each cell, from 1; or null
};
void pyramid_cells(PyramidCellsArgs const&, Threads);
void pyramid_cells(PyramidCellsArgs const&, Stream);

// Feature (cell, k) says that an event has more than k points in the cell; its number is
// base[cell] + k. Features that no event of the tree's own sample has are left out.
struct PyramidFeaturesArgs {
    const int64_t* offsets;  // of cells
    int64_t n_events;
    const int32_t* cells;
    const int32_t* base;         // (all cells + 1,)
    int64_t* counts;             // (n_events,), or null
    const int64_t* out_offsets;  // where each event's features go
    // Ascending within each event; or null. May be `cells`: of the tree's own sample, where each
    // feature takes the place of its cell, or with one thread, if features go to earlier places.
    int32_t* features;
};
void pyramid_features(PyramidFeaturesArgs const&, Threads);
void pyramid_features(PyramidFeaturesArgs const&, Stream);

constexpr int64_t pyramid_rows = 128;    // of a block of the Gram matrix
constexpr int64_t pyramid_tile = 2'048;  // columns of a block

// Who has which feature: bit planes for those that many columns have, lists for the others.
struct PyramidIndexArgs {
    const int64_t* offsets;  // of features
    int64_t n_events;        // columns of the Gram matrix
    const int32_t* features;
    const int32_t* plane;  // (n_features,): plane of the feature, -1 for a list
    int64_t n_features, n_planes;
    int64_t* cursor;    // (n_features,): where the feature's list starts, from 0 on; scratch
    uint64_t* planes;   // (tiles, n_planes, pyramid_tile / 64), zeros
    int32_t* postings;  // columns, ascending within each list
};
void pyramid_index(PyramidIndexArgs const&, Threads);
void pyramid_index(PyramidIndexArgs const&, Stream);

// Sum over shared features of 2^(n_levels - 2 - level) (1 for the top level), or that times
// row_scale[i] * column_scale[j].
template <class Out>
struct PyramidGramArgs {
    const int64_t* offsets;  // of features of the rows
    const int32_t* features;
    int64_t first_row, last_row, n_columns, n_levels;
    const int64_t* level_first;  // (n_levels + 1,): first feature of each level
    const int32_t* plane;
    int64_t n_planes;
    const uint64_t* planes;
    const int64_t* posting_offsets;  // (n_features + 1,)
    const int32_t* postings;
    const double *row_scale, *column_scale;  // null: integers
    bool wide;                               // sums need 32 bits
    bool symmetric;          // rows are the columns: compute below the diagonal, write both halves
    int64_t most_features;   // of a row; this and the next two for threads only
    int64_t block_features;  // of pyramid_rows rows in a row, from first_row on
    void* scratch;           // (threads, pyramid_gram_scratch(..)) bytes, 64-aligned
    Out* out;                // element (i, j) at out[(i - first_row) * stride + j]
    int64_t stride;
};
template <class Out>
void pyramid_gram(PyramidGramArgs<Out> const&, Threads);
template <class Out>
void pyramid_gram(PyramidGramArgs<Out> const&, Stream);
constexpr int64_t pyramid_gram_scratch(int64_t most_features, int64_t block_features) {
    int64_t const bytes = 512 * (most_features + 1) + 4 * pyramid_rows * pyramid_tile +
                          136 * pyramid_rows + 28 * block_features;
    return (bytes + 63) / 64 * 64;
}

template <class T>
struct LargestArgs {  // columns of the k largest values of each row, ties by column
    const T* values;
    int64_t n_rows, n_columns;  // less than 2^32 columns
    const int64_t* exclude;     // (n_rows,) a column that does not count, or null
    int64_t k;
    int64_t* index;  // (n_rows, k), -1 where there are fewer columns
    T* largest;      // (n_rows, k)
};
template <class T>
void largest(LargestArgs<T> const&, Threads);
template <class T>
void largest(LargestArgs<T> const&, Stream);

}  // namespace fastjag
