// Threads for kernels: spawned per call, joined before return, no state in between.
//
// Not OpenMP: a forked child that inherits libgomp's pool hangs in its first parallel region, and
// a second runtime beside torch's spins on the same cores. Spawning costs about 40 us, so calls
// below the grain run serially.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fastjag/config.hpp"

namespace fastjag {

constexpr int64_t grain = 100'000;  // elements below which a second thread does not pay

constexpr int64_t look_interval = int64_t{1} << 22;  // elements between two looks whether to stop

// Threads ask it every few milliseconds whether to stop. It asks `poll`, ten times a second and on
// the thread that made it only: there alone Python answers signals.
struct Interrupt {
    explicit Interrupt(bool (*ask)()) : poll(ask) {}

    bool must_stop() {
        if (stop.load(std::memory_order_relaxed)) return true;
        if (std::this_thread::get_id() != caller) return false;
        auto const now = std::chrono::steady_clock::now();
        if (now < next) return false;
        bool const asked = poll();
        stop.store(asked, std::memory_order_relaxed);
        next = std::chrono::steady_clock::now() + pause;
        return asked;
    }

    static constexpr std::chrono::milliseconds pause{100};
    bool (*poll)();
    std::atomic<bool> stop{false};
    std::thread::id const caller = std::this_thread::get_id();
    std::chrono::steady_clock::time_point next = std::chrono::steady_clock::now() + pause;
};

inline bool must_stop(Threads threads) {
    return threads.interrupt && threads.interrupt->must_stop();
}

// Of a second pass, which finds what the first one counted unless the inputs changed in between.
inline void must_be_as_counted(bool same) {
    if (!same)
        throw std::runtime_error(
            "mask or columns changed while they were read: another thread writes into them");
}

// Calls body(part) for part = 0 .. parts - 1, the last one on this thread. The first exception is
// rethrown after all have ended; Interrupted if there is none, but they were told to stop. Where
// the system refuses a thread, its part runs here.
template <class Body>
void run_parts(int parts, Body const& body, Interrupt* interrupt = nullptr) {
    std::vector<std::exception_ptr> errors(static_cast<size_t>(parts));
    std::mutex mutex;
    std::condition_variable ended;
    int running = 0;
    auto run_guarded = [&](int part) {
        try {
            body(part);
        } catch (...) {
            errors[static_cast<size_t>(part)] = std::current_exception();
        }
    };
    auto worker_of = [&](int part) {
        run_guarded(part);
        std::lock_guard const lock(mutex);
        --running;
        ended.notify_one();
    };
    std::vector<std::thread> workers;
    workers.reserve(static_cast<size_t>(parts));
    int started = 0;
    try {
        for (; started < parts - 1; ++started) {
            {
                std::lock_guard const lock(mutex);
                ++running;
            }
            workers.emplace_back(worker_of, started);
        }
    } catch (...) {  // no thread to be had: its part runs below
        std::lock_guard const lock(mutex);
        --running;
    }
    for (int part = started; part < parts; ++part) run_guarded(part);
    if (interrupt && started > 0) {  // the others may take long: signals are answered meanwhile
        std::unique_lock lock(mutex);
        while (!ended.wait_for(lock, Interrupt::pause, [&] { return running == 0; })) {
            lock.unlock();
            interrupt->must_stop();
            lock.lock();
        }
    }
    for (auto& worker : workers) worker.join();
    for (auto const& error : errors)
        if (error) std::rethrow_exception(error);
    if (interrupt && interrupt->stop) throw Interrupted{};
}

inline int useful_parts(int64_t work, Threads threads) {
    int64_t const most = std::max<int64_t>(1, work / grain);
    return static_cast<int>(std::min<int64_t>(std::max(threads.count, 1), most));
}

// body(begin, end, part) over elements 0 .. n - 1 in equal static blocks, each an interval at a
// time if it can be interrupted.
template <class Body>
void parallel_elements(int64_t n, Threads threads, Body const& body) {
    int const parts = useful_parts(n, threads);
    auto run = [&](int part) {
        int64_t begin = n / parts * part + std::min<int64_t>(part, n % parts);
        int64_t const end = n / parts * (part + 1) + std::min<int64_t>(part + 1, n % parts);
        for (; threads.interrupt && end - begin > look_interval; begin += look_interval) {
            body(begin, begin + look_interval, part);
            if (must_stop(threads)) return;
        }
        body(begin, end, part);
    };
    run_parts(parts, run, threads.interrupt);
}

// body(begin, end, part) over events 0 .. n - 1, cut where work balances: `cost` per event and
// `particle_cost` per particle, in units of what a copy of a number takes. Those of a part an
// interval of work at a time if they can be interrupted: a body that takes longer for it has to ask
// itself.
template <class Body>
void parallel_events(int64_t const* offsets, int64_t n, int64_t cost, Threads threads,
                     Body const& body, int64_t particle_cost = 1) {
    auto work = [&](int64_t event) {
        return particle_cost * (offsets[event] - offsets[0]) + cost * event;
    };
    int const parts = n == 0 ? 1 : useful_parts(work(n), threads);
    auto first_at = [&](int64_t low, int64_t high, int64_t target) {  // in low .. high
        while (low < high) {
            int64_t const middle = low + (high - low) / 2;
            if (work(middle) < target)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    };
    auto boundary = [&](int part) {
        return part == parts ? n : first_at(0, n, work(n) / parts * part);
    };
    auto run = [&](int part) {
        int64_t begin = boundary(part);
        int64_t const end = boundary(part + 1);
        while (threads.interrupt && work(end) - work(begin) > look_interval) {
            int64_t const next =
                std::max(begin + 1, first_at(begin, end, work(begin) + look_interval));
            body(begin, next, part);
            begin = next;
            if (must_stop(threads)) return;
            if (begin == end) return;
        }
        body(begin, end, part);
    };
    run_parts(parts, run, threads.interrupt);
}

// Offsets from counts: count(begin, end) writes how many outputs events begin .. end - 1 have into
// offsets_out[begin + 1 .. end]. Added up a block at a time, while it is in the cache; then each
// part adds what the ones before it have.
template <class Count>
void count_into_offsets(int64_t const* offsets, int64_t n, int64_t cost, Threads threads,
                        int64_t* offsets_out, Count const& count) {
    constexpr int64_t block = 4'096;
    struct Part {
        int64_t begin = -1, end = -1;
    };
    std::vector<Part> parts(static_cast<size_t>(std::max(threads.count, 1)));
    offsets_out[0] = 0;
    parallel_events(offsets, n, cost, threads, [&](int64_t begin, int64_t end, int part) {
        Part& own = parts[static_cast<size_t>(part)];
        int64_t sum = own.begin < 0 ? 0 : offsets_out[begin];  // it may come in pieces
        if (own.begin < 0) own.begin = begin;
        own.end = end;
        for (int64_t first = begin; first < end && !must_stop(threads); first += block) {
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
