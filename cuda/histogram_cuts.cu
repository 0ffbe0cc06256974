// histogram_cuts: every event counts once, in the class of the highest cut that its score reaches;
// what passes a cut is the sum over the classes from it upwards. The features, once for each
// replica of the weights, stand one after the other, and blocks share all of it in equal pieces.
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
    int64_t n_replicas;  // at least one
    bool weighted;
    int64_t n_slots_of_class;
    int64_t n_slots;  // of a feature, all classes
    uint32_t* total;  // [feature][slot]
    FixedPoint sums;  // [replica][feature][slot]

    // Events of one feature and one replica.
    struct Part {
        Entries const& all;
        int64_t replica, feature, begin, end;

        __device__ uint32_t* counts() const {
            return all.total + (all.first + feature) * all.n_slots;
        }
        __device__ FixedPoint fixed_point() const {
            FixedPoint own = all.sums;
            own.skip((replica * all.all_features + all.first + feature) * all.n_slots);
            return own;
        }
        template <class Use>
        __device__ void each(Use const& use) const {
            StridedColumn const &column = all.features[feature], &weight = all.weights[replica];
            HistogramAxis const& axis = all.axes[feature];
            for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
                int32_t const passed = slot_of(value(all.scores, i), all.cuts);
                if (!reaches_cut(passed, all.cuts)) continue;
                int64_t const slot = slot_of(value(column, i), axis);
                use((passed - 1) * all.n_slots_of_class + slot,
                    all.weighted ? value(weight, i) : 0.0);
            }
        }
    };

    template <class Body>
    __device__ void each_part(Body const& body) const {
        int64_t const work = n_replicas * n_features * n_events;
        int64_t const share = (work + gridDim.x - 1) / gridDim.x;
        int64_t const stop = smaller((blockIdx.x + 1) * share, work);
        for (int64_t at = blockIdx.x * share; at < stop;) {
            int64_t const row = at / n_events, begin = at % n_events;
            int64_t const end = smaller(n_events, begin + (stop - at));
            body(Part{*this, row / n_features, row % n_features, begin, end});
            __syncthreads();  // the next part clears what this one has added to
            at += end - begin;
        }
    }
};
static_assert(sizeof(Entries) + sizeof(Copies) <= 4096, "kernels take 4 KB of arguments");

// What comes out: for every cut the sum over its class and those above, from the highest one.
struct Passing {
    int64_t first, n_features, all_features, n_slots, n_classes, n_cuts;
    int64_t n_bins[most_features];
    const int32_t* class_of_cut;
    int64_t n_replicas, first_weight, all_weights;
    uint32_t const* total;
    FixedPoint all;
    bool weighted;
    int64_t* counts;
    double* sums;
};

__global__ void finish(Passing p) {
    int64_t const of_cut = p.n_features * p.n_slots, of_replica = p.n_cuts * of_cut;
    for (int64_t i = global_thread(); i < p.n_replicas * of_replica; i += all_threads()) {
        int64_t const replica = i / of_replica, cut = i % of_replica / of_cut;
        int64_t const feature = i % of_cut / p.n_slots, slot = i % p.n_slots;
        // Overflow and NaN go to the end, behind the longest axis.
        int64_t const own = p.n_bins[feature] + 1, behind = slot - (p.n_slots - 2);
        int64_t const from = slot < own ? slot : own + behind;
        if (slot >= own && behind < 0) continue;
        int64_t const row = p.first + feature;
        int64_t const out = (cut * p.all_features + row) * p.n_slots + slot;
        int64_t n = 0;
        double w = 0, w2 = 0;
        for (int64_t c = p.n_classes - 1; c >= p.class_of_cut[cut]; --c) {
            int64_t const at = (row * p.n_classes + c) * p.n_slots + from;
            if (!p.weighted) {
                n += p.total[at];
                continue;
            }
            int64_t const in = replica * p.all_features * p.n_classes * p.n_slots + at;
            if (p.all.entries[in] == 0) continue;
            n += p.all.entries[in];
            w += p.all.weights(in);
            w2 += p.all.squares(in);
        }
        if (p.counts && replica == 0) p.counts[out] += n;
        if (!p.weighted) continue;
        int64_t const size = p.n_cuts * p.all_features * p.n_slots;
        double* const sums = p.sums + (p.first_weight + replica) * size + out;
        sums[0] += w;
        sums[p.all_weights * size] += w2;
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
    entries.weighted = a.n_weights > 0;
    entries.n_replicas = larger(1, a.n_weights);
    entries.n_slots_of_class = a.n_slots;
    entries.n_slots = (a.cuts.n_bins + 1) * a.n_slots;
    entries.all_features = a.n_features;
    entries.total = static_cast<uint32_t*>(stream.scratch);
    entries.sums = FixedPoint(stream.scratch, a.n_weights * a.n_features * entries.n_slots);
    Passing passing{};
    passing.all_features = a.n_features;
    passing.n_slots = a.n_slots;
    passing.n_classes = a.cuts.n_bins + 1;
    passing.n_cuts = a.n_passing;
    passing.class_of_cut = a.class_of_cut;
    passing.n_replicas = entries.n_replicas;
    passing.first_weight = a.first_weight;
    passing.all_weights = a.all_weights;
    passing.total = entries.total;
    passing.all = entries.sums;
    passing.weighted = entries.weighted;
    passing.counts = a.passing;
    passing.sums = a.passing_sums;
    for (int64_t first = 0; first < a.n_features; first += most_features) {
        int64_t const n = smaller(most_features, a.n_features - first);
        entries.first = passing.first = first;
        entries.n_features = passing.n_features = n;
        for (int64_t f = 0; f < n; ++f) {
            entries.features[f] = a.features[first + f];
            entries.axes[f] = a.axes[first + f];
            passing.n_bins[f] = a.axes[first + f].n_bins;
        }
        // A block's own sums must be worth clearing and merging.
        int64_t const worth = larger(16 * block_threads, 4 * entries.n_slots);
        int64_t const blocks = blocks_for(entries.n_replicas * n * a.n_events, worth);
        if (entries.weighted)
            launch_sums(entries, blocks, stream);
        else
            launch_count(entries, blocks, stream);
        int64_t const out = entries.n_replicas * a.n_passing * n * a.n_slots;
        FASTJAG_LAUNCH(finish, blocks_for(out, block_threads), block_threads, 0, stream, passing);
    }
}

}  // namespace fastjag
