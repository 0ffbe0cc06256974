// aggregate: statistics of one column per event, a group of events at a time (lanes.hpp).
#include <cmath>
#include <type_traits>

#include "dispatch.hpp"
#include "fastjag/aggregate.hpp"
#include "lanes.hpp"

namespace fastjag::FASTJAG_ISA {
namespace {

template <class T>
struct Rows {
    Group const& events;
    Lanes<T> x[most_rows];
    Rows(Group const& group, T const* values) : events(group) {
        for (int64_t k = 0; k < group.rows; ++k) x[k] = group.row(values, k);
    }
    Mask<T> inside(int64_t k) const { return events.template inside<T>(k); }
};

template <bool largest, class T>
void extremes(Rows<T> const& rows, int64_t event, T* out, int64_t* position) {
    if (!out && !position) return;
    Lanes<T> best = rows.events.rows ? rows.x[0] : Lanes<T>{};
    Mask<T> at{};
    for (int64_t k = 1; k < rows.events.rows; ++k) {
        Lanes<T> const x = rows.x[k];
        Mask<T> const replace = replaces<largest>(x, best) & rows.inside(k);
        best = replace ? x : best;
        if (position) at = replace ? broadcast<Mask<T>>(k) : at;
    }
    if (out) {
        auto const empty = broadcast<Lanes<T>>(empty_extreme<T>());
        store(rows.inside(0) ? best : empty, out + event);
    }
    if (position)
        store(rows.events.n > 0 ? convert<Lanes<int64_t>>(at) : broadcast<Lanes<int64_t>>(-1),
              position + event);
}

template <class T>
void sums(AggregateArgs<T> const& a, int64_t event, Rows<T> const& rows) {
    Lanes<int64_t> const n = rows.events.n;
    if constexpr (!std::is_floating_point_v<T>) {
        if (a.sum) {
            Lanes<uint64_t> sum{};
            for (int64_t k = 0; k < rows.events.rows; ++k)
                sum += n > k ? convert<Lanes<uint64_t>>(rows.x[k]) : Lanes<uint64_t>{};
            store(sum, static_cast<uint64_t*>(a.sum) + event);
        }
        if (!a.mean && !a.std) return;
    }
    using Doubles = Lanes<double>;
    Doubles sum{}, squares{};
    for (int64_t k = 0; k < rows.events.rows; ++k)
        sum += n > k ? convert<Doubles>(rows.x[k]) : Doubles{};
    if constexpr (std::is_floating_point_v<T>)
        if (a.sum) store(sum, static_cast<double*>(a.sum) + event);
    if (!a.mean && !a.std) return;
    Doubles const count = convert<Doubles>(n);
    Doubles const mean = sum / count;  // 0 / 0 = NaN
    if (a.mean) store(mean, a.mean + event);
    if (!a.std) return;
    // Mean squared distance from the mean: the one-pass form cancels.
    for (int64_t k = 0; k < rows.events.rows; ++k) {
        Doubles const d = convert<Doubles>(rows.x[k]) - mean;
        squares += n > k ? d * d : Doubles{};
    }
    store(root(squares / count), a.std + event);
}

template <class T>
void any_all(AggregateArgs<T> const& a, int64_t event, Rows<T> const& rows) {
    if (!a.any && !a.all) return;
    Mask<T> any{}, all = ~Mask<T>{};
    for (int64_t k = 0; k < rows.events.rows; ++k) {
        Mask<T> const inside = rows.inside(k);
        any |= inside & (rows.x[k] != 0);
        all &= ~inside | (rows.x[k] != 0);
    }
    Mask<T> const one = broadcast<Mask<T>>(1);
    if (a.any) store(convert<Lanes<uint8_t>>(any & one), a.any + event);
    if (a.all) store(convert<Lanes<uint8_t>>(all & one), a.all + event);
}

// The same statistics for one event of any length.
template <class T>
void one_event(AggregateArgs<T> const& a, int64_t event) {
    T const* x = a.values + a.offsets[event];
    int64_t const n = a.offsets[event + 1] - a.offsets[event];
    Accumulator<T> exact = 0;
    double sum = 0, squares = 0;
    int64_t lowest = 0, highest = 0;
    uint8_t any = 0, all = 1;
    for (int64_t i = 0; i < n; ++i) {
        exact += static_cast<Accumulator<T>>(x[i]);
        sum += static_cast<double>(x[i]);
        if (replaces<false>(x[i], x[lowest])) lowest = i;
        if (replaces<true>(x[i], x[highest])) highest = i;
        any |= x[i] != 0;
        all &= x[i] != 0;
    }
    double const mean = sum / static_cast<double>(n);
    if (a.count) a.count[event] = n;
    if (a.sum) static_cast<Sum<T>*>(a.sum)[event] = static_cast<Sum<T>>(exact);
    if (a.mean) a.mean[event] = mean;
    if (a.std) {
        for (int64_t i = 0; i < n; ++i) {
            double const d = static_cast<double>(x[i]) - mean;
            squares += d * d;
        }
        a.std[event] = std::sqrt(squares / static_cast<double>(n));
    }
    if (a.min) a.min[event] = n ? x[lowest] : empty_extreme<T>();
    if (a.max) a.max[event] = n ? x[highest] : empty_extreme<T>();
    if (a.argmin) a.argmin[event] = n ? lowest : -1;
    if (a.argmax) a.argmax[event] = n ? highest : -1;
    if (a.any) a.any[event] = any;
    if (a.all) a.all[event] = all;
}

}  // namespace

template <class T>
void aggregate_range(AggregateArgs<T> const& a, int64_t begin, int64_t end) {
    int64_t const last = a.offsets[a.n_events];
    int64_t event = begin;
    for (; use_lanes && event + lanes <= end; event += lanes) {
        Group const group(a.offsets, event, last);
        if (group.usable) {
            Rows<T> const rows(group, a.values);
            if (a.count) store(group.n, a.count + event);
            if (a.sum || a.mean || a.std) sums(a, event, rows);
            extremes<false>(rows, event, a.min, a.argmin);
            extremes<true>(rows, event, a.max, a.argmax);
            any_all(a, event, rows);
        } else {
            for (int l = 0; l < lanes; ++l) one_event(a, event + l);
        }
    }
    for (; event < end; ++event) one_event(a, event);
}

#define FASTJAG_AGGREGATE(T) \
    template void aggregate_range(AggregateArgs<T> const&, int64_t, int64_t);
FASTJAG_FOR_NUMBER_TYPES(FASTJAG_AGGREGATE)

}  // namespace fastjag::FASTJAG_ISA
