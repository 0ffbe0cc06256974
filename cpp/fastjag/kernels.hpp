// THE contract: what each kernel reads and writes, for CPU and GPU alike.
//
// Conventions
//  - Pointers and int64 sizes only; inputs first, outputs last; a null output is not computed.
//  - `offsets` has n_events + 1 entries; event i owns particles offsets[i] .. offsets[i+1] - 1 of
//    the content. Offsets are validated before they get here; offsets[0] need not be 0.
//  - The caller provides outputs and scratch; only `order` allocates. Second passes never write
//    more than was counted, and throw if they find other numbers. All may throw Interrupted.
//  - Given a Stream, all pointers are to memory of its GPU, but for small arrays of structs
//    (columns, axes), which stay on the host. Kernels return before they are done; a launch that
//    fails throws CudaError. dimuon_count and in_cone_count write counts only, for `scan` to add
//    up.
//  - The meaning of every kernel is defined by the function of the same name in reference.py.
#pragma once
#include <cstdint>

#include "config.hpp"

namespace fastjag {

// The types each kernel is instantiated for: FASTJAG_FOR_..._TYPES(MACRO) expands MACRO(type).
#define FASTJAG_FOR_FLOAT_TYPES(M) M(float) M(double)
#define FASTJAG_FOR_PADDING_TYPES(M) \
    M(uint8_t) M(uint16_t) M(uint32_t) M(uint64_t) M(float) M(double)
#define FASTJAG_FOR_NUMBER_TYPES(M) \
    FASTJAG_FOR_PADDING_TYPES(M) M(int8_t) M(int16_t) M(int32_t) M(int64_t)
#define FASTJAG_FOR_GRAM_TYPES(M) M(uint16_t) M(uint32_t) M(float) M(double)

enum class DType : uint8_t { u1, u2, u4, u8, i1, i2, i4, i8, f4, f8 };

// ---- scan: counts -> offsets, on a GPU (CPU kernels do it themselves) --------------------------

struct ScanArgs {  // values[i] becomes values[0] + .. + values[i]
    int64_t n;
    int64_t* values;
    void* scratch;
    int64_t scratch_bytes;  // at least scan_scratch(n)
};
void scan(ScanArgs const&, Stream);
int64_t scan_scratch(int64_t n);

// ---- padding: jagged columns -> dense (event, slot, column) tensor ---------------------------

struct PaddingColumn {
    const void* data;
    DType dtype;
    double mean, inverse_scale, low, high;  // (x - mean) * inverse_scale, clipped to [low, high]
    uint64_t fill;                          // of empty slots: its first bytes are an Out
};

// Out = float or double converts every column; Out = uint8/16/32/64 copies bits of equal size.
template <class Out>
struct PaddingArgs {
    const int64_t* offsets;
    int64_t n_events;
    const int64_t* order;  // per particle: content index to read (from `order` kernel), or null
    const PaddingColumn* columns;
    int64_t n_columns;
    int64_t n_particles;  // entries of each column
    int64_t width;        // slots per event, with `wrap` below 2**31
    bool standardise;
    bool wrap;   // events of n < width particles repeat them: slot k holds particle k % n
    bool blank;  // `out` holds nothing but the fill already
    double nan;  // replaces NaN of particles; NaN: they stay (and in copied bits, always)
    int64_t event_stride, slot_stride, column_stride;  // of out, in elements
    Out* out;
    uint8_t* mask;  // (n_events, width), or null
};
template <class Out>
void padding(PaddingArgs<Out> const&, Threads);
template <class Out>
void padding(PaddingArgs<Out> const&, Stream);

// ---- aggregate: one column -> per-event statistics -------------------------------------------

template <class T>
struct AggregateArgs {
    const int64_t* offsets;
    int64_t n_events;
    const T* values;
    int64_t n_particles;  // entries of values
    int64_t* count;
    void* sum;  // double for floats, int64/uint64 for signed/unsigned integers
    double *mean, *std;
    T *min, *max;  // empty events: NaN for floats, 0 for integers (the caller masks them)
    int64_t *argmin, *argmax;  // position within the event, -1 where empty
    uint8_t *any, *all;
};
template <class T>
void aggregate(AggregateArgs<T> const&, Threads);
template <class T>
void aggregate(AggregateArgs<T> const&, Stream);
int64_t aggregate_scratch(int64_t n_particles);

// ---- select: particle masks, event picks, order within events --------------------------------

struct SelectArgs {  // counts particles that pass; out_offsets[i + 1] = number kept in events 0..i
    const int64_t* offsets;
    int64_t n_events;
    const uint8_t* mask;  // indexed as the content
    int64_t n_particles;  // of the content
    int64_t* out_offsets;
};
void select(SelectArgs const&, Threads);
void select(SelectArgs const&, Stream);  // offsets, not counts
int64_t select_scratch(int64_t n_particles);

struct CompactArgs {  // copies the particles that pass, in order
    const int64_t* offsets;
    int64_t n_events;
    const uint8_t* mask;
    const int64_t* out_offsets;  // from select
    const void* values;          // on a GPU: null for the particles' places, int64
    int64_t itemsize;
    void* out;
    int64_t n_particles;
};  // on a GPU offsets, mask and out_offsets are not read again: scratch has what select found
void compact(CompactArgs const&, Threads);
void compact(CompactArgs const&, Stream);

struct GatherArgs {  // copies particles starts[i] .. of each event to out_offsets[i] ..
    const int64_t* starts;
    int64_t n_events;
    const int64_t* out_offsets;
    const void* values;
    int64_t itemsize;
    void* out;
};
void gather(GatherArgs const&, Threads);
void gather(GatherArgs const&, Stream);

template <class T>
struct OrderArgs {  // content indices of each event by descending key; ties stored order, NaN last
    const int64_t* offsets;
    int64_t n_events;
    const T* key;
    int64_t limit;        // only the first `limit` of each event need be right
    int64_t* order;       // entry i - offsets[0] belongs to particle slot i
    int64_t n_particles;  // of all events
};
template <class T>
void order(OrderArgs<T> const&, Threads);
template <class T>
void order(OrderArgs<T> const&, Stream);
int64_t order_scratch(int64_t n_particles);

// ---- dimuon: pairs within events and their observables ---------------------------------------

enum class Charge : uint8_t { any, opposite, same };
enum class Pairs : uint8_t { leading, all };

template <class T>
struct DimuonArgs {
    const int64_t* offsets;
    int64_t n_events;
    const T *pt, *eta, *phi;
    const int32_t* charge;  // may be null for Charge::any
    const uint8_t* mask;    // particles that may form pairs, or null
    int64_t n_particles;    // entries of columns
    double particle_mass;
    Charge charge_class;
    Pairs pairs;
    int64_t* pair_offsets;  // (n_events + 1,): written by dimuon_count, read by dimuon
    uint8_t* choice;        // (n_events,) scratch of Pairs::leading: the same; on a GPU null
    int64_t *event, *first, *second;
    int32_t* pair_charge;
    T *mass, *pair_pt, *pair_eta, *pair_phi, *delta_r, *delta_pt, *delta_eta, *delta_phi;
};
template <class T>
void dimuon_count(DimuonArgs<T> const&, Threads);
template <class T>
void dimuon_count(DimuonArgs<T> const&, Stream);
int64_t dimuon_scratch(int64_t n_events, int64_t n_particles);
template <class T>
void dimuon(DimuonArgs<T> const&, Threads);
template <class T>
void dimuon(DimuonArgs<T> const&, Stream);

template <class T>
struct PairMassArgs {
    int64_t n;
    const T *pt1, *eta1, *phi1, *pt2, *eta2, *phi2;
    double mass1, mass2;
    T* out;
};
template <class T>
void pair_mass(PairMassArgs<T> const&, Threads);
template <class T>
void pair_mass(PairMassArgs<T> const&, Stream);

// ---- nearest: particles of two collections close to each other in eta and phi ------------------

template <class T>
struct NearestArgs {
    const int64_t *left_offsets, *right_offsets;  // of the same events
    int64_t n_events;
    const T *left_eta, *left_phi, *right_eta, *right_phi;
    int64_t n_right;        // entries of right columns
    double one_radius;      // of all cones, if there is no `radius`; in_cone only
    const double* radius;   // in_cone only, or null; this and all below: entry i - left_offsets[0]
                            // belongs to left particle i
    int64_t* pair_offsets;  // in_cone only: written by in_cone_count, read by in_cone
    int64_t* index;         // into the right content; nearest: -1 where there is none
    T* delta_r;
};
template <class T>
void nearest(NearestArgs<T> const&, Threads);
template <class T>
void nearest(NearestArgs<T> const&, Stream);
template <class T>
void in_cone_count(NearestArgs<T> const&, Threads);
template <class T>
void in_cone_count(NearestArgs<T> const&, Stream);
int64_t nearest_scratch(int64_t n_right);
int64_t in_cone_scratch(int64_t n_left, int64_t n_right);
template <class T>
void in_cone(NearestArgs<T> const&, Threads);
template <class T>
void in_cone(NearestArgs<T> const&, Stream);

// ---- histogram: 1-D and 2-D, weighted or not -------------------------------------------------

struct HistogramAxis {
    int64_t n_bins;
    const double* edges;  // (n_bins + 2,): the last one NaN
    // x * scale + shift, cut off to 0 .. n_cells - 1 and rounded down, is a cell, and first[cell]
    // edges lie in cells below it (first null: as many as its number); up to `steps` edges lie in
    // the same one, to be compared with. n_cells = 0: search.
    int64_t n_cells;
    double scale, shift;
    bool logarithmic;  // the bits of x (float64) instead of x
    const int32_t* first;
    int64_t steps;
    // Equidistant edges, each in a cell of its own: further from an edge than this fraction of a
    // bin, x * scale + shift rounded to nearest is the slot. margin_single: where it is computed
    // in float. Infinite where rounding is no use.
    double margin;
    float margin_single;
};

template <class T, class W>
struct HistogramArgs {
    int64_t n;         // less than 2^32
    const T *x, *y;    // y null: 1-D
    const W* weights;  // null: counts
    HistogramAxis axis_x, axis_y;
    int64_t n_slots;   // product over axes of n_bins + 3: underflow, bins, overflow, NaN
    int64_t n_copies;  // of the sums within a thread: 4 or 1
    // Zeros (threads, n_copies, n_slots): uint32, or pairs of doubles if weighted. On a GPU:
    // histogram_scratch(n_slots) bytes if weighted, else null.
    void* scratch;
    double *sumw, *sumw2;  // (n_slots,), added to
    int64_t* counts;       // (n_slots,), added to
};
template <class T, class W>
void histogram(HistogramArgs<T, W> const&, Threads);
template <class T, class W>
void histogram(HistogramArgs<T, W> const&, Stream);
constexpr int64_t histogram_scratch(int64_t n_slots) { return 44 * n_slots; }

// ---- histogram_cuts: histograms of many columns for many cuts on a score ----------------------

struct StridedColumn {
    const void* data;
    int64_t stride;  // in elements
    DType dtype;     // f4 or f8
};

struct HistogramCutsArgs {
    static constexpr int64_t tile = 8, block = 1024;
    int64_t n_events;  // less than 2^32
    StridedColumn scores;
    HistogramAxis cuts;  // edges: the cuts, ascending; class c has the scores in slot c + 1
    const StridedColumn* features;
    const HistogramAxis* axes;  // one for each feature
    int64_t n_features;
    const StridedColumn* weights;
    int64_t n_weights;  // any number of replicas; on a GPU up to a tile of them
    int64_t n_slots;    // at least n_bins + 3 of every axis
    uint32_t* counts;   // zeros (threads, n_features, n_cuts, n_slots), or null
    // The same of tiles of 8 w and 8 w^2, or of pairs (w, w^2) for one weight with counts.
    double* sums;
    void* scratch;  // (threads, tiles, block, tile)
    // On a GPU instead of both, added to, with all features' overflow and NaN in the last two
    // slots: for every one of n_passing cuts, in any order, whose class is class_of_cut, what
    // passes it.
    const int32_t* class_of_cut;
    int64_t n_passing;
    int64_t* passing;      // (n_passing, n_features, n_slots), or null
    double* passing_sums;  // (2, all_weights, n_passing, n_features, n_slots): w, then w^2
    int64_t first_weight, all_weights;
};
void histogram_cuts(HistogramCutsArgs const&, Threads);
void histogram_cuts(HistogramCutsArgs const&, Stream);  // scratch is zeros
constexpr int64_t histogram_cuts_scratch(int64_t n_weights, int64_t slots_of_all_features) {
    return n_weights > 0 ? histogram_scratch(n_weights * slots_of_all_features)
                         : 4 * slots_of_all_features;
}

// ---- check: offsets and bytes that users give, on a GPU (NumPy does it on the CPU) --------------

struct CheckArgs {
    const int64_t* offsets;
    int64_t n_events;
    int64_t* found;  // zeros; becomes the first and the last offset, and n_events - i of the first
                     // event i that ends before it begins
};
void check_offsets(CheckArgs const&, Stream);
void check_bools(const uint8_t* bytes, int64_t n, int64_t* found, Stream);  // 1: some are above 1

}  // namespace fastjag

#include "kernels_pyramid.hpp"
