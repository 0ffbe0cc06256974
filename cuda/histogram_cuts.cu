// histogram_cuts: every event counts once, in the class of the highest cut that its score reaches;
// what passes a cut is the sum over the classes from it upwards. Blocks share a feature, and a
// replica of the weights.
#include "fastjag/binning.hpp"
#include "fastjag/dtypes.hpp"
#include "sums.cuh"

namespace fastjag {
namespace {

constexpr int64_t most_features = 32;  // of a launch: as many as its arguments have room for

__device__ double value(StridedColumn const& column, int64_t i) {
    return read_float(column.data, column.dtype, i * column.stride);
}

struct Entries {
    int64_t n_events;
    StridedColumn scores;
    HistogramAxis cuts;
    int64_t first, n_features, all_features;  // of this launch, of the call
    StridedColumn features[most_features];
    HistogramAxis axes[most_features];
    StridedColumn weights[HistogramCutsArgs::tile];
    bool weighted;
    int64_t n_slots_of_class;
    int64_t n_slots;  // of a feature, all classes
    int64_t blocks;   // that share a feature and a replica
    uint32_t* total;  // [feature][slot]
    FixedPoint sums;  // [replica][feature][slot]

    // Blocks [replica][feature][part].
    __device__ int64_t part() const { return blockIdx.x % blocks; }
    __device__ int64_t feature() const { return blockIdx.x / blocks % n_features; }
    __device__ int64_t replica() const { return blockIdx.x / blocks / n_features; }

    __device__ uint32_t* counts() const { return total + (first + feature()) * n_slots; }
    __device__ FixedPoint fixed_point() const {
        FixedPoint own = sums;
        own.skip((replica() * all_features + first + feature()) * n_slots);
        return own;
    }

    template <class Use>
    __device__ void each(Use const& use) const {
        StridedColumn const &feature = features[this->feature()], &weight = weights[replica()];
        HistogramAxis const& axis = axes[this->feature()];
        for (int64_t i = part() * blockDim.x + threadIdx.x; i < n_events;
             i += blocks * blockDim.x) {
            int32_t const passed = slot_of(value(scores, i), cuts);
            if (!reaches_cut(passed, cuts)) continue;
            int64_t const slot = slot_of(value(feature, i), axis);
            use((passed - 1) * n_slots_of_class + slot, weighted ? value(weight, i) : 0.0);
        }
    }
};
static_assert(sizeof(Entries) + sizeof(Copies) <= 4096, "kernels take 4 KB of arguments");

// Writes [feature][slot][w, w^2][lane], a lane for each replica.
__global__ void finish(FixedPoint all, int64_t n, int64_t n_replicas, int64_t lanes, double* out) {
    for (int64_t i = global_thread(); i < n_replicas * n; i += all_threads()) {
        if (all.entries[i] == 0) continue;
        int64_t const replica = i / n, slot = i % n;
        out[2 * slot * lanes + replica] = all.weights(i);
        out[(2 * slot + 1) * lanes + replica] = all.squares(i);
    }
}

}  // namespace

void histogram_cuts(HistogramCutsArgs const& a, Stream stream) {
    if (a.n_events == 0) return;
    Entries entries{};
    entries.n_events = a.n_events;
    entries.scores = a.scores;
    entries.cuts = a.cuts;
    for (int64_t r = 0; r < a.n_weights; ++r) entries.weights[r] = a.weights[r];
    entries.n_slots_of_class = a.n_slots;
    entries.n_slots = (a.cuts.n_bins + 1) * a.n_slots;
    entries.all_features = a.n_features;
    entries.total = a.counts;
    int64_t const slots = a.n_features * entries.n_slots;
    entries.sums = FixedPoint(a.scratch, a.n_weights * slots);
    for (int64_t first = 0; first < a.n_features; first += most_features) {
        int64_t const n = smaller(most_features, a.n_features - first);
        entries.first = first;
        entries.n_features = n;
        for (int64_t f = 0; f < n; ++f) {
            entries.features[f] = a.features[first + f];
            entries.axes[f] = a.axes[first + f];
        }
        // A block's own sums must be worth clearing and merging.
        int64_t const worth = larger(16 * block_threads, 4 * entries.n_slots);
        entries.blocks = larger(1, blocks_for(n * a.n_events, worth) / n);
        entries.weighted = false;
        if (a.counts) launch_count(entries, n * entries.blocks, stream);
        entries.weighted = true;
        if (a.n_weights) launch_sums(entries, a.n_weights * n * entries.blocks, stream);
    }
    if (a.n_weights == 0) return;
    int64_t const lanes = a.counts && a.n_weights == 1 ? 1 : HistogramCutsArgs::tile;
    FASTJAG_LAUNCH(finish, blocks_for(a.n_weights * slots, block_threads), block_threads, 0, stream,
                   entries.sums, slots, a.n_weights, lanes, a.sums);
}

}  // namespace fastjag
