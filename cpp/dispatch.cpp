// Entry points of the kernels in dispatch.hpp: cut the events among threads, pick the instruction
// set.
#include "dispatch.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "parallel.hpp"

namespace fastjag {
namespace {

#if defined(FASTJAG_SIMD_LEVELS)
int best_level() {
    __builtin_cpu_init();
    bool const v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    bool const v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    return v3 && v4 ? 4 : v3 ? 3 : 2;
}

int choose_level() {
    int const best = best_level();
    char const* asked = std::getenv("FASTJAG_SIMD");
    if (!asked || !*asked) return best;
    std::string const name = asked;
    int const level = name == "v2" ? 2 : name == "v3" ? 3 : name == "v4" ? 4 : 0;
    if (level == 0)
        throw std::invalid_argument("FASTJAG_SIMD must be v2, v3 or v4, got '" + name + "'");
    if (level > best)
        throw std::invalid_argument("FASTJAG_SIMD=" + name + ", but this CPU has up to v" +
                                    std::to_string(best));
    return level;
}
#else
int choose_level() { return 0; }
#endif

}  // namespace

int simd_level() {
    static int const level = choose_level();
    return level;
}

char const* simd_name() {
    int const level = simd_level();
    return level == 4   ? "x86-64-v4 (AVX-512)"
           : level == 3 ? "x86-64-v3 (AVX2)"
           : level == 2 ? "x86-64-v2 (SSE4.2)"
                        : "baseline";
}

bool must_stop(Interrupt* interrupt) { return interrupt && interrupt->must_stop(); }

// What an event costs besides its particles, in units of a padded slot (about 1 ns).
constexpr int64_t event_cost = 8;

template <class Out>
void padding(PaddingArgs<Out> const& a, Threads threads) {
    parallel_events(
        a.offsets, a.n_events, a.width * a.n_columns, threads,
        [&](int64_t begin, int64_t end, int) { FASTJAG_DISPATCH(padding_range(a, begin, end)) });
}

template <class T>
void aggregate(AggregateArgs<T> const& a, Threads threads) {
    parallel_events(
        a.offsets, a.n_events, event_cost, threads,
        [&](int64_t begin, int64_t end, int) { FASTJAG_DISPATCH(aggregate_range(a, begin, end)) });
}

template <class T>
void dimuon_count(DimuonArgs<T> const& a, Threads threads) {
    count_into_offsets(a.offsets, a.n_events, event_cost, threads, a.pair_offsets,
                       [&](int64_t begin, int64_t end) {
                           FASTJAG_DISPATCH(dimuon_count_range(a, begin, end, threads.interrupt))
                       });
}

template <class T>
void dimuon(DimuonArgs<T> const& a, Threads threads) {
    auto run = [&](int64_t begin, int64_t end) {
        FASTJAG_DISPATCH(dimuon_range(a, begin, end, threads.interrupt))
    };
    parallel_events(a.offsets, a.n_events, 2 * event_cost, threads,
                    [&](int64_t begin, int64_t end, int) { must_be_as_counted(run(begin, end)); });
}

template <class T>
void pair_mass(PairMassArgs<T> const& a, Threads threads) {
    parallel_elements(a.n, threads, [&](int64_t begin, int64_t end, int) {
        FASTJAG_DISPATCH(pair_mass_range(a, begin, end))
    });
}

// What a part costs is pairs; the side with more particles is a good measure of them.
template <class T, class Body>
void parallel_pairs(NearestArgs<T> const& a, Threads threads, Body const& body) {
    auto particles = [&](int64_t const* offsets) { return offsets[a.n_events] - offsets[0]; };
    bool const left = particles(a.left_offsets) > particles(a.right_offsets);
    parallel_events(left ? a.left_offsets : a.right_offsets, a.n_events, 1, threads,
                    [&](int64_t begin, int64_t end, int) { body(begin, end); });
}

template <class T>
void nearest(NearestArgs<T> const& a, Threads threads) {
    parallel_pairs(a, threads, [&](int64_t begin, int64_t end) {
        FASTJAG_DISPATCH(nearest_range(a, begin, end, threads.interrupt))
    });
}

template <class T>
void in_cone_count(NearestArgs<T> const& a, Threads threads) {
    parallel_pairs(a, threads, [&](int64_t begin, int64_t end) {
        FASTJAG_DISPATCH(in_cone_count_range(a, begin, end, threads.interrupt))
    });
    int64_t const n_left = a.left_offsets[a.n_events] - a.left_offsets[0];
    a.pair_offsets[0] = 0;
    for (int64_t i = 0; i < n_left; ++i) a.pair_offsets[i + 1] += a.pair_offsets[i];
}

template <class T>
void in_cone(NearestArgs<T> const& a, Threads threads) {
    auto run = [&](int64_t begin, int64_t end) {
        FASTJAG_DISPATCH(in_cone_range(a, begin, end, threads.interrupt))
    };
    parallel_pairs(a, threads,
                   [&](int64_t begin, int64_t end) { must_be_as_counted(run(begin, end)); });
}
// Below this many entries another thread takes longer to start than it saves.
constexpr int64_t histogram_grain = 4 * grain;

// Private accumulators for each part, merged in the order of parts.
template <class T, class W>
void histogram(HistogramArgs<T, W> const& a, Threads threads) {
    int const parts = useful_parts(a.n / (histogram_grain / grain), threads);
    parallel_elements(a.n, {parts, threads.interrupt}, [&](int64_t begin, int64_t end, int part) {
        FASTJAG_DISPATCH(histogram_range(a, begin, end, part))
    });
    auto const* counts = static_cast<uint32_t const*>(a.scratch);
    auto const* sums = static_cast<double const*>(a.scratch);
    for (int64_t from = 0; from < parts * a.n_copies * a.n_slots; ++from) {
        int64_t const slot = from % a.n_slots;
        if (a.weights) {
            a.sumw[slot] += sums[2 * from];
            a.sumw2[slot] += sums[2 * from + 1];
        } else {
            a.counts[slot] += counts[from];
        }
    }
}

void histogram_cuts(HistogramCutsArgs const& a, Threads threads) {
    int const parts = useful_parts(a.n_events * a.n_features / (histogram_grain / grain), threads);
    int64_t const share = (a.n_events + parts - 1) / parts;
    auto fill = [&](int64_t begin, int64_t end, int part) {
        FASTJAG_DISPATCH(histogram_cuts_range(a, begin, end, part))
    };
    auto run = [&](int part) {
        int64_t const end = std::min((part + 1) * share, a.n_events);
        constexpr int64_t step = look_interval / 16;  // of events, with many features each
        for (int64_t begin = part * share; begin < end && !must_stop(threads); begin += step)
            fill(begin, std::min(begin + step, end), part);
    };
    run_parts(parts, run, threads.interrupt);
}

// Differences are added up from the first to the last.
void pages(PagesArgs const& a, Threads threads) {
    int const most = a.encoding == Encoding::split_index ? 1 : threads.count;
    Interrupt* const interrupt = most == 1 ? nullptr : threads.interrupt;
    parallel_elements(a.count, {most, interrupt}, [&](int64_t begin, int64_t end, int) {
        FASTJAG_DISPATCH(pages_range(a, a.first + begin, a.first + end))
    });
}

void take_rows(TakeRowsArgs const& a, Threads threads) {
    parallel_elements(a.n, threads, [&](int64_t begin, int64_t end, int) {
        FASTJAG_DISPATCH(take_rows_range(a, begin, end))
    });
}

void take_lists(TakeListsArgs const& a, Threads threads) {
    parallel_events(a.offsets, a.n, event_cost, threads, [&](int64_t begin, int64_t end, int) {
        FASTJAG_DISPATCH(take_lists_range(a, begin, end))
    });
}

void deal_rows(DealRowsArgs const& a, Threads threads) {
    parallel_elements(a.n, threads, [&](int64_t begin, int64_t end, int) {
        FASTJAG_DISPATCH(deal_rows_range(a, begin, end))
    });
}

void permutation(PermutationArgs const& a) { FASTJAG_DISPATCH(permutation_of(a)) }

bool outside(const int64_t* numbers, int64_t count, int64_t n, int64_t& bad) {
    for (int64_t i = 0; i < count; ++i)
        if (numbers[i] < 0 || numbers[i] >= n) {
            bad = numbers[i];
            return true;
        }
    return false;
}

// Blocks of rows grow longer down the triangle: threads take the next one when they are done.
template <class Out>
void pyramid_gram(PyramidGramArgs<Out> const& a, Threads threads) {
    int64_t const rows = a.last_row - a.first_row;
    std::atomic<int64_t> next{a.first_row};
    auto run = [&](int part) {
        for (;;) {
            int64_t const begin = next.fetch_add(pyramid_rows);
            if (begin >= a.last_row || must_stop(threads)) return;
            int64_t const end = std::min(begin + pyramid_rows, a.last_row);
            [&] { FASTJAG_DISPATCH(pyramid_gram_rows(a, begin, end, part, threads.interrupt)) }();
        }
    };
    run_parts(useful_parts(rows * a.n_columns, threads), run, threads.interrupt);
}

#define FASTJAG_PYRAMID(Out) template void pyramid_gram(PyramidGramArgs<Out> const&, Threads);
FASTJAG_FOR_GRAM_TYPES(FASTJAG_PYRAMID)
#define FASTJAG_PADDING(T) template void padding(PaddingArgs<T> const&, Threads);
FASTJAG_FOR_PADDING_TYPES(FASTJAG_PADDING)
#define FASTJAG_AGGREGATE(T) template void aggregate(AggregateArgs<T> const&, Threads);
FASTJAG_FOR_NUMBER_TYPES(FASTJAG_AGGREGATE)
#define FASTJAG_DIMUON(T)                                      \
    template void dimuon_count(DimuonArgs<T> const&, Threads); \
    template void dimuon(DimuonArgs<T> const&, Threads);       \
    template void pair_mass(PairMassArgs<T> const&, Threads);
FASTJAG_FOR_FLOAT_TYPES(FASTJAG_DIMUON)
#define FASTJAG_NEAREST(T)                                       \
    template void nearest(NearestArgs<T> const&, Threads);       \
    template void in_cone_count(NearestArgs<T> const&, Threads); \
    template void in_cone(NearestArgs<T> const&, Threads);
FASTJAG_FOR_FLOAT_TYPES(FASTJAG_NEAREST)
#define FASTJAG_HISTOGRAM(T)                                          \
    template void histogram(HistogramArgs<T, float> const&, Threads); \
    template void histogram(HistogramArgs<T, double> const&, Threads);
FASTJAG_FOR_FLOAT_TYPES(FASTJAG_HISTOGRAM)

}  // namespace fastjag
