// Threads for kernels: spawned per call, joined before return, no state in between.
//
// Not OpenMP: a forked child that inherits libgomp's pool hangs in its first parallel region, and
// a second runtime beside torch's spins on the same cores. Spawning costs about 40 us, so calls
// below the grain run serially.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#include "fastjag/config.hpp"

namespace fastjag {

constexpr int64_t grain = 100'000;  // elements below which a second thread does not pay

// Calls body(part) for part = 0 .. parts - 1, the last one on this thread. The first exception is
// rethrown after all have ended. Where the system refuses a thread, its part runs here.
template <class Body>
void run_parts(int parts, Body const& body) {
    std::vector<std::exception_ptr> errors(static_cast<size_t>(parts));
    auto guarded = [&](int part) {
        try {
            body(part);
        } catch (...) {
            errors[static_cast<size_t>(part)] = std::current_exception();
        }
    };
    std::vector<std::thread> workers;
    workers.reserve(static_cast<size_t>(parts));
    int started = 0;
    try {
        for (; started < parts - 1; ++started) workers.emplace_back(guarded, started);
    } catch (...) {  // no thread to be had: its part runs below
    }
    for (int part = started; part < parts; ++part) guarded(part);
    for (auto& worker : workers) worker.join();
    for (auto const& error : errors)
        if (error) std::rethrow_exception(error);
}

inline int useful_parts(int64_t work, Threads threads) {
    int64_t const most = std::max<int64_t>(1, work / grain);
    return static_cast<int>(std::min<int64_t>(std::max(threads.count, 1), most));
}

// body(begin, end, part) over elements 0 .. n - 1 in equal static blocks.
template <class Body>
void parallel_elements(int64_t n, Threads threads, Body const& body) {
    int const parts = useful_parts(n, threads);
    run_parts(parts, [&](int part) {
        body(n / parts * part + std::min<int64_t>(part, n % parts),
             n / parts * (part + 1) + std::min<int64_t>(part + 1, n % parts), part);
    });
}

// body(begin, end, part) over events 0 .. n - 1, cut where work balances: `cost` per event and
// `particle_cost` per particle, in units of what a copy of a number takes.
template <class Body>
void parallel_events(int64_t const* offsets, int64_t n, int64_t cost, Threads threads,
                     Body const& body, int64_t particle_cost = 1) {
    auto work = [&](int64_t event) {
        return particle_cost * (offsets[event] - offsets[0]) + cost * event;
    };
    int const parts = n == 0 ? 1 : useful_parts(work(n), threads);
    auto boundary = [&](int part) {
        int64_t low = 0, high = n;
        int64_t const target = work(n) / parts * part;
        while (low < high) {
            int64_t const middle = low + (high - low) / 2;
            if (work(middle) < target)
                low = middle + 1;
            else
                high = middle;
        }
        return part == parts ? n : low;
    };
    run_parts(parts, [&](int part) { body(boundary(part), boundary(part + 1), part); });
}

// Offsets from counts: count(begin, end) writes how many outputs events begin .. end - 1 have into
// offsets_out[begin + 1 .. end]. Added up a block at a time, while it is in the cache; then each
// part adds what the ones before it have.
template <class Count>
void count_into_offsets(int64_t const* offsets, int64_t n, int64_t cost, Threads threads,
                        int64_t* offsets_out, Count const& count) {
    constexpr int64_t block = 4'096;
    struct Part {
        int64_t begin = 0, end = 0;
    };
    std::vector<Part> parts(static_cast<size_t>(std::max(threads.count, 1)));
    offsets_out[0] = 0;
    parallel_events(offsets, n, cost, threads, [&](int64_t begin, int64_t end, int part) {
        parts[static_cast<size_t>(part)] = {begin, end};
        int64_t sum = 0;
        for (int64_t first = begin; first < end; first += block) {
            int64_t const last = std::min(first + block, end);
            count(first, last);
            for (int64_t i = first + 1; i <= last; ++i) offsets_out[i] = sum += offsets_out[i];
        }
    });
    int64_t before = 0;
    for (Part const& part : parts) {
        if (part.begin == part.end) continue;
        int64_t const own = offsets_out[part.end];
        if (before > 0)
            for (int64_t i = part.begin + 1; i <= part.end; ++i) offsets_out[i] += before;
        before += own;
    }
}

}  // namespace fastjag
