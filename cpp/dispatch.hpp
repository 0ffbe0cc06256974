// The CPU side of the kernels that gain from wide vectors: each handles a range of events (or
// elements), is compiled once per instruction set, and is chosen at run time by simd_level(). Those
// whose work does not follow the number of elements ask now and then whether to stop, and then
// return with their outputs half-written. Second passes are false where they find another number
// of results than the first one counted; they never write more.
#pragma once

#include <cstdint>

#include "fastjag/kernels.hpp"
#include "fastjag/kernels_pages.hpp"
#include "fastjag/kernels_rows.hpp"

#define FASTJAG_DECLARE_RANGES                                                                     \
    template <class Out>                                                                           \
    void padding_range(PaddingArgs<Out> const&, int64_t begin, int64_t end);                       \
    template <class T>                                                                             \
    void aggregate_range(AggregateArgs<T> const&, int64_t begin, int64_t end);                     \
    template <class T>                                                                             \
    void dimuon_count_range(DimuonArgs<T> const&, int64_t begin, int64_t end, Interrupt*);         \
    template <class T>                                                                             \
    bool dimuon_range(DimuonArgs<T> const&, int64_t begin, int64_t end, Interrupt*);               \
    template <class T>                                                                             \
    void pair_mass_range(PairMassArgs<T> const&, int64_t begin, int64_t end);                      \
    template <class T>                                                                             \
    void nearest_range(NearestArgs<T> const&, int64_t begin, int64_t end, Interrupt*);             \
    template <class T>                                                                             \
    void in_cone_count_range(NearestArgs<T> const&, int64_t begin, int64_t end, Interrupt*);       \
    template <class T>                                                                             \
    bool in_cone_range(NearestArgs<T> const&, int64_t begin, int64_t end, Interrupt*);             \
    template <class T, class W>                                                                    \
    void histogram_range(HistogramArgs<T, W> const&, int64_t begin, int64_t end, int64_t part);    \
    void histogram_cuts_range(HistogramCutsArgs const&, int64_t begin, int64_t end, int64_t part); \
    void pages_range(PagesArgs const&, int64_t begin, int64_t end);                                \
    void take_rows_range(TakeRowsArgs const&, int64_t begin, int64_t end);                         \
    void take_lists_range(TakeListsArgs const&, int64_t begin, int64_t end);                       \
    void deal_rows_range(DealRowsArgs const&, int64_t begin, int64_t end);                         \
    void permutation_of(PermutationArgs const&);                                                   \
    template <class Out>                                                                           \
    void pyramid_gram_rows(PyramidGramArgs<Out> const&, int64_t begin, int64_t end, int64_t part,  \
                           Interrupt*);

namespace fastjag {

// 2, 3 or 4 for x86-64-v2, -v3, -v4; 0 where there is one build only. Chosen once: the best that
// this CPU has, or what FASTJAG_SIMD=v2|v3|v4 asks for. Throws invalid_argument if it cannot.
int simd_level();
char const* simd_name();

// Whether to stop; null: never.
bool must_stop(Interrupt*);

#if defined(FASTJAG_SIMD_LEVELS)
namespace v2 {
FASTJAG_DECLARE_RANGES
}
namespace v3 {
FASTJAG_DECLARE_RANGES
}
namespace v4 {
FASTJAG_DECLARE_RANGES
}
#define FASTJAG_DISPATCH(call)    \
    switch (simd_level()) {       \
        case 4: return v4::call;  \
        case 3: return v3::call;  \
        default: return v2::call; \
    }
#else
namespace baseline {
FASTJAG_DECLARE_RANGES
}
#define FASTJAG_DISPATCH(call) return baseline::call;
#endif

}  // namespace fastjag
