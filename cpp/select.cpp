// select: which particles stay (mask compaction), which events (gather), and in which order.
#include "fastjag/select.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "fastjag/kernels.hpp"
#include "parallel.hpp"

namespace fastjag {
namespace {

using namespace FASTJAG_ISA;

// Branch-free: every value is written, the cursor moves only past those kept. The loop ends with
// the last one kept, so nothing beyond this part's output is touched. Then there must be no more:
// another thread may have changed the mask since it was counted.
template <class U>
void compact_values(CompactArgs const& a, int64_t begin, int64_t end) {
    auto const* values = static_cast<U const*>(a.values);
    U* out = static_cast<U*>(a.out) + a.out_offsets[begin];
    U* const last = static_cast<U*>(a.out) + a.out_offsets[end];
    int64_t i = a.offsets[begin];
    int64_t const stop = a.offsets[end];
    for (; out < last && i < stop; ++i) {
        *out = values[i];
        out += keeps(a.mask, i);
    }
    bool more = false;
    for (; i < stop; ++i) more |= keeps(a.mask, i);
    must_be_as_counted(out == last && !more);
}

template <class T>
struct Ranked {
    T key;
    int64_t index;
};

// Events of up to four, without a branch: each particle's place is the number of those before it.
// Reads four keys and writes four places; the caller writes the next event's over what spills.
template <class T>
void order_four(T const* key, int64_t start, int64_t n, int64_t* out) {
    // Each is read once: another thread may change it, and then places would be taken twice.
    T const volatile* from = key + start;
    T const x[4] = {from[0], from[1], from[2], from[3]};
    auto overtakes = [&](int j, int i) {  // particle j > i comes first
        return static_cast<int>(exceeds(x[j], x[i]) & (j < n));
    };
    int const a = overtakes(1, 0), b = overtakes(2, 0), c = overtakes(3, 0);
    int const d = overtakes(2, 1), e = overtakes(3, 1), f = overtakes(3, 2);
    out[a + b + c] = start;
    out[1 - a + d + e] = start + 1;
    out[2 - b - d + f] = start + 2;
    out[3 - c - e - f] = start + 3;
}

// Sorting algorithms count on an order that does not change: long events are sorted by a copy of
// their keys, as another thread may change those.
template <class T>
void order_event(T const* key, int64_t start, int64_t n, int64_t limit, int64_t* out,
                 std::vector<Ranked<T>>& copy, Threads threads) {
    constexpr int64_t short_event = 24;
    if (n <= short_event) {
        // Insertion: nearly sorted input, the usual case, costs one comparison per particle.
        for (int64_t i = 0; i < n; ++i) {
            int64_t j = i;
            for (; j > 0 && comes_before(key[start + i], start + i, key[out[j - 1]], out[j - 1]);
                 --j)
                out[j] = out[j - 1];
            out[j] = start + i;
        }
        return;
    }
    copy.resize(static_cast<size_t>(n));
    Ranked<T>* const first = copy.data();
    for (int64_t i = 0; i < n; ++i) first[i] = {key[start + i], start + i};
    auto sort = [&](auto before) {
        if (limit < n)
            std::partial_sort(first, first + limit, first + n, before);
        else
            std::sort(first, first + n, before);
    };
    constexpr int64_t very_long = look_interval / 4;
    if (n < very_long)
        sort([](Ranked<T> const& x, Ranked<T> const& y) {
            return comes_before(x.key, x.index, y.key, y.index);
        });
    else
        sort([threads, looks = int64_t{0}](Ranked<T> const& x, Ranked<T> const& y) mutable {
            if (++looks % very_long == 0 && must_stop(threads)) throw Interrupted{};
            return comes_before(x.key, x.index, y.key, y.index);
        });
    for (int64_t i = 0; i < n; ++i) out[i] = first[i].index;
}

}  // namespace

void select(SelectArgs const& a, Threads threads) {
    count_into_offsets(a.offsets, a.n_events, 1, threads, a.out_offsets,
                       [&](int64_t begin, int64_t end) {
                           for (int64_t event = begin; event < end; ++event) {
                               int64_t n = 0;
                               for (int64_t i = a.offsets[event]; i < a.offsets[event + 1]; ++i)
                                   n += keeps(a.mask, i);
                               a.out_offsets[event + 1] = n;
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
        std::vector<Ranked<T>> copy;
        for (int64_t event = begin; event < end; ++event) {
            int64_t const start = a.offsets[event], n = a.offsets[event + 1] - start;
            int64_t* const out = a.order + (start - a.offsets[0]);
            if (n <= 4 && start + 4 <= last)
                order_four(a.key, start, n, out);
            else
                order_event(a.key, start, n, a.limit, out, copy, threads);
        }
    });
}

#define FASTJAG_ORDER(T) template void order(OrderArgs<T> const&, Threads);
FASTJAG_FOR_NUMBER_TYPES(FASTJAG_ORDER)

}  // namespace fastjag
