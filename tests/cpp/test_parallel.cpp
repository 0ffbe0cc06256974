// parallel.hpp under ThreadSanitizer. What parts share is plain memory on purpose: two parts at one
// element are a data race, and that ends the program with an error.
#include "parallel.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

using namespace fastjag;

#define REQUIRE(condition)                                               \
    do {                                                                 \
        if (!(condition)) {                                              \
            std::printf("line %d: %s is false\n", __LINE__, #condition); \
            std::exit(1);                                                \
        }                                                                \
    } while (false)

void elements() {
    for (int64_t n : {int64_t{0}, int64_t{1}, int64_t{7}, 2 * grain - 1, 2 * grain, 5 * grain + 3})
        for (int threads : {-1, 1, 2, 3, 64}) {
            std::vector<int> seen(static_cast<size_t>(n));
            std::atomic<int> parts{0};
            parallel_elements(n, {threads}, [&](int64_t begin, int64_t end, int part) {
                REQUIRE(0 <= begin && begin <= end && end <= n);
                REQUIRE(0 <= part && part < std::max(threads, 1));
                for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
                ++parts;
            });
            REQUIRE(std::all_of(seen.begin(), seen.end(), [](int x) { return x == 1; }));
            REQUIRE(parts == useful_parts(n, {threads}));
            REQUIRE(threads < 2 || n < 2 * grain || parts >= 2);
        }
}

std::vector<int64_t> offsets_of(std::vector<int64_t> const& counts, int64_t first = 3) {
    std::vector<int64_t> offsets{first};
    for (int64_t count : counts) offsets.push_back(offsets.back() + count);
    return offsets;
}

// Work of each part, after checking that every event was visited once and parts stand in order.
std::vector<int64_t> visit(std::vector<int64_t> const& offsets, int64_t cost, int threads) {
    auto const n = static_cast<int64_t>(offsets.size()) - 1;
    std::vector<int> seen(static_cast<size_t>(n));
    std::vector<int64_t> begins(64, -1), ends(64, -1), work(64, 0);
    std::atomic<int> parts{0};
    parallel_events(offsets.data(), n, cost, {threads}, [&](int64_t begin, int64_t end, int part) {
        auto const p = static_cast<size_t>(part);
        begins[p] = begin, ends[p] = end;
        for (int64_t event = begin; event < end; ++event) ++seen[static_cast<size_t>(event)];
        work[p] = offsets[static_cast<size_t>(end)] - offsets[static_cast<size_t>(begin)] +
                  cost * (end - begin);
        ++parts;
    });
    REQUIRE(std::all_of(seen.begin(), seen.end(), [](int x) { return x == 1; }));
    auto const last = static_cast<size_t>(parts - 1);
    REQUIRE(begins[0] == 0 && ends[last] == n);
    for (size_t p = 0; p < last; ++p) REQUIRE(ends[p] == begins[p + 1]);
    work.resize(last + 1);
    return work;
}

void events() {
    // Events cost something even where they are empty.
    std::vector<int64_t> const empty(3 * grain, 0);
    std::vector<int64_t> ragged(grain);
    for (size_t i = 0; i < ragged.size(); ++i) ragged[i] = static_cast<int64_t>(i * i % 7);
    for (auto const& counts : {std::vector<int64_t>{}, {0}, {1}, {5 * grain}, empty, ragged})
        for (int64_t cost : {0, 1, 5})
            for (int threads : {0, 2, 3, 64}) visit(offsets_of(counts), cost, threads);
}

// No part gets more than its share and one event: events are not cut.
void balance() {
    std::vector<int64_t> counts(100'000, 4);
    for (size_t huge : {size_t{0}, size_t{50'000}, size_t{99'999}})
        for (int threads : {2, 3, 8})
            for (int64_t cost : {0, 1}) {
                counts[huge] = 10 * grain;
                auto const offsets = offsets_of(counts);
                auto const work = visit(offsets, cost, threads);
                int64_t const total = std::accumulate(work.begin(), work.end(), int64_t{0});
                int64_t const share = total / static_cast<int64_t>(work.size());
                int64_t const slack = 2 * (4 + cost) + static_cast<int64_t>(work.size());
                REQUIRE(static_cast<int>(work.size()) == threads);
                int above = 0;
                for (int64_t part : work) above += part > share + slack;
                REQUIRE(above <= 1);  // the part that got the huge event
                REQUIRE(*std::max_element(work.begin(), work.end()) <= 10 * grain + share + slack);
                counts[huge] = 4;
            }
}

// Without huge events all parts are equal, also where the events are not.
void fairness() {
    std::vector<int64_t> rising(200'000);
    for (size_t i = 0; i < rising.size(); ++i) rising[i] = static_cast<int64_t>(i / 20'000);
    for (int threads : {2, 3, 8})
        for (int64_t cost : {0, 1}) {
            auto const work = visit(offsets_of(rising), cost, threads);
            int64_t const total = 900'000 + 200'000 * cost;
            REQUIRE(static_cast<int>(work.size()) == threads);
            for (int64_t part : work) REQUIRE(std::abs(part - total / threads) <= 2 * (9 + cost));
        }
}

void exceptions() {
    for (int parts : {1, 2, 8}) {
        std::vector<int> ended(static_cast<size_t>(parts), 0);
        std::string message;
        try {
            run_parts(parts, [&](int part) {
                if (part == 0) throw std::runtime_error("part 0");
                if (part == 5) throw std::logic_error("part 5");
                std::this_thread::sleep_for(std::chrono::milliseconds(20));
                ended[static_cast<size_t>(part)] = 1;
            });
        } catch (std::runtime_error const& error) {
            message = error.what();
        }
        REQUIRE(message == "part 0");
        REQUIRE(std::accumulate(ended.begin(), ended.end(), 0) == parts - 1 - (parts > 5));
    }
}

// All parts end soon after it says so, and what is done until then was done in order.
void interrupts() {
    for (int threads : {1, 3}) {
        static std::atomic<int> asked;
        asked = 0;
        Interrupt never([] { return false; }), later([] { return ++asked == 3; });
        std::vector<int64_t> sums(4, 0);
        int64_t const n = 20 * look_interval;
        parallel_elements(n, {threads, &never}, [&](int64_t begin, int64_t end, int part) {
            sums[static_cast<size_t>(part)] += end - begin;
        });
        REQUIRE(std::accumulate(sums.begin(), sums.end(), int64_t{0}) == n);
        std::atomic<int> bodies{0};
        bool ended = false;
        try {
            parallel_elements(2000 * look_interval, {threads, &later}, [&](int64_t, int64_t, int) {
                ++bodies;
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
            });
        } catch (Interrupted const&) {
            ended = true;
        }
        REQUIRE(ended && asked == 3 && bodies < 1500);
        // The calling thread asks while it waits for the others, too.
        asked = 0;
        Interrupt waiting([] { return ++asked == 2; });
        ended = false;
        try {
            run_parts(
                threads,
                [&](int part) {
                    while (part < threads - 1 && !waiting.must_stop())
                        std::this_thread::sleep_for(std::chrono::milliseconds(1));
                },
                &waiting);
        } catch (Interrupted const&) {
            ended = true;
        }
        REQUIRE(ended == (threads > 1));
    }
    // Offsets of counts that come in pieces.
    std::vector<int64_t> counts(100, look_interval / 7);
    auto const offsets = offsets_of(counts);
    for (int threads : {1, 2, 5}) {
        Interrupt never([] { return false; });
        std::vector<int64_t> found(101, -1);
        count_into_offsets(offsets.data(), 100, 1, {threads, &never}, found.data(),
                           [&](int64_t begin, int64_t end) {
                               for (int64_t i = begin; i < end; ++i)
                                   found[static_cast<size_t>(i + 1)] = i % 3;
                           });
        int64_t sum = 0;
        for (int64_t i = 0; i <= 100; ++i) {
            REQUIRE(found[static_cast<size_t>(i)] == sum);
            sum += i % 3;
        }
    }
}

int main() {
    elements();
    std::puts("elements");
    events();
    std::puts("events");
    balance();
    std::puts("balance");
    fairness();
    std::puts("fairness");
    exceptions();
    std::puts("exceptions");
    interrupts();
    std::puts("interrupts");
}
