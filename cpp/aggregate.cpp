// aggregate: statistics of one column per event. Each statistic is a tight loop of its own over a
// block of events whose particles stay in cache, so that unrequested ones cost nothing.
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "fastjag/kernels.hpp"
#include "parallel.hpp"

namespace fastjag {
namespace {

constexpr int64_t block_events = 2048;

template <class T>
using Sum = std::conditional_t<
    std::is_floating_point_v<T>, double,
    std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;

template <class T>
bool is_nan(T x) {
    return x != x;
}

template <class T>
double sum_as_double(T const* x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]);
    return sum;
}

// Integers wrap around on overflow, as NumPy's do: add as unsigned.
template <class T>
Sum<T> sum_of(T const* x, int64_t n) {
    if constexpr (std::is_floating_point_v<T>) {
        return sum_as_double(x, n);
    } else {
        uint64_t sum = 0;
        for (int64_t i = 0; i < n; ++i) sum += static_cast<uint64_t>(x[i]);
        return static_cast<Sum<T>>(sum);
    }
}

// Mean, then the mean squared distance from it: the one-pass form cancels.
template <class T>
double std_of(T const* x, int64_t n) {
    double const mean = sum_as_double(x, n) / static_cast<double>(n);
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) {
        double const d = static_cast<double>(x[i]) - mean;
        sum += d * d;
    }
    return std::sqrt(sum / static_cast<double>(n));
}

template <class T, bool largest>
bool beats(T x, T best) {
    return largest ? x > best : x < best;
}

// The extreme value as NumPy has it: one NaN makes it NaN.
template <bool largest, class T>
T extreme(T const* x, int64_t n) {
    T best = x[0];
    for (int64_t i = 1; i < n; ++i) best = beats<T, largest>(x[i], best) || is_nan(x[i]) ? x[i] : best;
    return best;
}

template <bool largest, class T>
int64_t extreme_position(T const* x, int64_t n) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; ++i)
        if (beats<T, largest>(x[i], x[best]) || (is_nan(x[i]) && !is_nan(x[best]))) best = i;
    return best;
}

template <class T>
constexpr T nothing = std::is_floating_point_v<T> ? std::numeric_limits<T>::quiet_NaN() : T{0};

template <class T, class Out, class Statistic>
void each(AggregateArgs<T> const& a, int64_t begin, int64_t end, Out* out, Out empty,
          Statistic const& statistic) {
    if (!out) return;
    for (int64_t event = begin; event < end; ++event) {
        int64_t const n = a.offsets[event + 1] - a.offsets[event];
        out[event] = n == 0 ? empty : statistic(a.values + a.offsets[event], n);
    }
}

}  // namespace

template <class T>
void aggregate(AggregateArgs<T> const& a, Threads threads) {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    auto block = [&](int64_t begin, int64_t end) {
        each(a, begin, end, static_cast<Sum<T>*>(a.sum), Sum<T>{0}, sum_of<T>);
        each(a, begin, end, a.mean, nan, [](T const* x, int64_t n) {
            return sum_as_double(x, n) / static_cast<double>(n);
        });
        each(a, begin, end, a.std, nan, std_of<T>);
        each(a, begin, end, a.min, nothing<T>, extreme<false, T>);
        each(a, begin, end, a.max, nothing<T>, extreme<true, T>);
        each(a, begin, end, a.argmin, int64_t{-1}, extreme_position<false, T>);
        each(a, begin, end, a.argmax, int64_t{-1}, extreme_position<true, T>);
        each(a, begin, end, a.any, uint8_t{0}, [](T const* x, int64_t n) -> uint8_t {
            return std::any_of(x, x + n, [](T value) { return value != 0; });
        });
        each(a, begin, end, a.all, uint8_t{1}, [](T const* x, int64_t n) -> uint8_t {
            return std::all_of(x, x + n, [](T value) { return value != 0; });
        });
    };
    parallel_events(a.offsets, a.n_events, 1, threads, [&](int64_t begin, int64_t end, int) {
        for (int64_t b = begin; b < end; b += block_events)
            block(b, std::min(end, b + block_events));
    });
}

#define INSTANTIATE(T) template void aggregate(AggregateArgs<T> const&, Threads);
INSTANTIATE(uint8_t)
INSTANTIATE(uint16_t)
INSTANTIATE(uint32_t)
INSTANTIATE(uint64_t)
INSTANTIATE(int8_t)
INSTANTIATE(int16_t)
INSTANTIATE(int32_t)
INSTANTIATE(int64_t)
INSTANTIATE(float)
INSTANTIATE(double)

}  // namespace fastjag
