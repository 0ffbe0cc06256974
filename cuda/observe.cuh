// Parts of `dimuon` that leading and all pairs share: what the first pass leaves for the second
// one, and what is written of a pair.
#pragma once

#include "fastjag/dimuon.hpp"
#include "huge.cuh"

namespace fastjag {
using namespace FASTJAG_ISA;
namespace {

// What the first pass leaves for the second one, in dimuon_scratch(n_events, n_particles) bytes:
// the chosen pair of each event. Where a byte does not hold it, it stands in a list, so that
// nothing has to be chosen again: the same from inputs that may have changed.
struct Noted {
    struct Pair {
        int64_t event, first, second;
    };
    unsigned long long* n_pairs;  // on the list
    Huge huge;
    void* parts;  // of huge events: Leading or Tally
    Pair* pairs;
    uint8_t* choice;  // of each event

    static constexpr int64_t part_bytes = 32;
    static constexpr int64_t head = List::head;

    Noted(void* scratch, int64_t n_particles)
        : n_pairs(static_cast<unsigned long long*>(scratch)),
          huge(static_cast<char*>(scratch) + head) {
        char* const behind = static_cast<char*>(scratch) + head + Huge::bytes(n_particles);
        parts = behind;
        pairs = reinterpret_cast<Pair*>(behind + Huge::most_parts(n_particles) * part_bytes);
        choice = reinterpret_cast<uint8_t*>(pairs + most_pairs(n_particles));
    }
    // Of all pairs nothing is noted but events of which all warps share the rows.
    __host__ __device__ List rows() const {
        return {n_pairs, reinterpret_cast<List::Event*>(pairs)};
    }
    // Whose second particle is the 16th or a later one.
    static constexpr int64_t most_pairs(int64_t n_particles) { return n_particles / 16; }
    static constexpr int64_t bytes(int64_t n_events, int64_t n_particles) {
        return head + Huge::bytes(n_particles) + Huge::most_parts(n_particles) * part_bytes +
               most_pairs(n_particles) * int64_t{sizeof(Pair)} + n_events;
    }
};

// Both lists are empty.
void clear(Noted const& noted, Stream stream) {
    check(cudaMemsetAsync(noted.n_pairs, 0, Noted::head + List::head,
                          static_cast<cudaStream_t>(stream.handle)),
          "list of pairs", "could not be cleared");
}

template <class T>
__device__ Leg leg(DimuonArgs<T> const& a, int64_t i) {
    return {static_cast<double>(a.pt[i]), static_cast<double>(a.eta[i]),
            static_cast<double>(a.phi[i])};
}

// Writes pair (i, j) to place `at`.
template <class T>
__device__ void observe(DimuonArgs<T> const& a, int64_t at, int64_t event, int64_t i, int64_t j) {
    if (a.event) a.event[at] = event;
    if (a.first) a.first[at] = i;
    if (a.second) a.second[at] = j;
    if (a.pair_charge) a.pair_charge[at] = pair_charge(a.charge[i], a.charge[j]);
    Leg const p = leg(a, i), q = leg(a, j);
    double const m = a.particle_mass;
#define FASTJAG_WRITE(column, formula) \
    if (a.column) a.column[at] = static_cast<T>(formula);
    FASTJAG_FOR_OBSERVABLES(FASTJAG_WRITE)
#undef FASTJAG_WRITE
}

}  // namespace
}  // namespace fastjag
