// select: which particles stay (mask compaction), which events (gather), and in which order.
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "fastjag/kernels.hpp"
#include "parallel.hpp"

namespace fastjag {
namespace {

// Branch-free: every value is written, the cursor moves only past those kept. The loop ends with
// the last one kept, so nothing beyond this part's output is touched.
template <class U>
void compact_values(CompactArgs const& a, int64_t begin, int64_t end) {
    auto const* values = static_cast<U const*>(a.values);
    U* out = static_cast<U*>(a.out) + a.out_offsets[begin];
    U* const last = static_cast<U*>(a.out) + a.out_offsets[end];
    for (int64_t i = a.offsets[begin]; out < last; ++i) {
        *out = values[i];
        out += a.mask[i];
    }
}

template <class T>
bool comes_before(T const* key, int64_t i, int64_t j) {
    if (key[i] > key[j]) return true;
    if (key[j] > key[i]) return false;
    if constexpr (std::is_floating_point_v<T>) {
        bool const nan_i = key[i] != key[i], nan_j = key[j] != key[j];
        if (nan_i != nan_j) return nan_j;
    }
    return i < j;  // a total order: any sort is stable
}

// Events of up to four, without a branch: each particle's place is the number of those before it.
// Reads four keys and writes four places; the caller writes the next event's over what spills.
template <class T>
void order_four(T const* key, int64_t start, int64_t n, int64_t* out) {
    T const* x = key + start;
    auto overtakes = [&](int j, int i) {  // particle j > i comes first
        bool before = x[j] > x[i];
        if constexpr (std::is_floating_point_v<T>) before |= (x[i] != x[i]) & (x[j] == x[j]);
        return static_cast<int>(before & (j < n));
    };
    int const a = overtakes(1, 0), b = overtakes(2, 0), c = overtakes(3, 0);
    int const d = overtakes(2, 1), e = overtakes(3, 1), f = overtakes(3, 2);
    out[a + b + c] = start;
    out[1 - a + d + e] = start + 1;
    out[2 - b - d + f] = start + 2;
    out[3 - c - e - f] = start + 3;
}

template <class T>
void order_event(T const* key, int64_t start, int64_t n, int64_t limit, int64_t* out) {
    constexpr int64_t short_event = 24;
    if (n <= short_event) {
        // Insertion: nearly sorted input, the usual case, costs one comparison per particle.
        for (int64_t i = 0; i < n; ++i) {
            int64_t j = i;
            for (; j > 0 && comes_before(key, start + i, out[j - 1]); --j) out[j] = out[j - 1];
            out[j] = start + i;
        }
        return;
    }
    for (int64_t i = 0; i < n; ++i) out[i] = start + i;
    auto before = [key](int64_t i, int64_t j) { return comes_before(key, i, j); };
    if (limit < n)
        std::partial_sort(out, out + limit, out + n, before);
    else
        std::sort(out, out + n, before);
}

}  // namespace

void select(SelectArgs const& a, Threads threads) {
    count_into_offsets(a.offsets, a.n_events, 1, threads, a.out_offsets,
                       [&](int64_t begin, int64_t end) {
                           for (int64_t event = begin; event < end; ++event) {
                               int64_t kept = 0;
                               for (int64_t i = a.offsets[event]; i < a.offsets[event + 1]; ++i)
                                   kept += a.mask[i];
                               a.out_offsets[event + 1] = kept;
                           }
                       });
}

void compact(CompactArgs const& a, Threads threads) {
    parallel_events(a.offsets, a.n_events, 0, threads, [&](int64_t begin, int64_t end, int) {
        switch (a.itemsize) {
            case 1: return compact_values<uint8_t>(a, begin, end);
            case 2: return compact_values<uint16_t>(a, begin, end);
            case 4: return compact_values<uint32_t>(a, begin, end);
            default: return compact_values<uint64_t>(a, begin, end);
        }
    });
}

void gather(GatherArgs const& a, Threads threads) {
    auto const* values = static_cast<char const*>(a.values);
    auto* out = static_cast<char*>(a.out);
    parallel_events(a.out_offsets, a.n_events, 1, threads, [&](int64_t begin, int64_t end, int) {
        for (int64_t event = begin; event < end; ++event) {
            int64_t const n = a.out_offsets[event + 1] - a.out_offsets[event];
            if (n > 0)
                std::memcpy(out + a.out_offsets[event] * a.itemsize,
                            values + a.starts[event] * a.itemsize,
                            static_cast<size_t>(n * a.itemsize));
        }
    });
}

template <class T>
void order(OrderArgs<T> const& a, Threads threads) {
    parallel_events(a.offsets, a.n_events, 8, threads, [&](int64_t begin, int64_t end, int) {
        int64_t const last = a.offsets[end];
        for (int64_t event = begin; event < end; ++event) {
            int64_t const start = a.offsets[event], n = a.offsets[event + 1] - start;
            int64_t* const out = a.order + (start - a.offsets[0]);
            if (n <= 4 && start + 4 <= last)
                order_four(a.key, start, n, out);
            else
                order_event(a.key, start, n, a.limit, out);
        }
    });
}

#define FASTJAG_ORDER(T) template void order(OrderArgs<T> const&, Threads);
FASTJAG_FOR_NUMBER_TYPES(FASTJAG_ORDER)

}  // namespace fastjag
