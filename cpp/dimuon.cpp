// dimuon: pairs of particles within each event, and their observables.
//
// Two steps: choose (branchy, one event at a time), then compute (branch-free, a block of pairs at
// a time in local arrays, one loop per field, which the compiler vectorises).
#include <algorithm>

#include "fastjag/kernels.hpp"
#include "fastjag/lorentz.hpp"
#include "parallel.hpp"

namespace fastjag {
namespace {

constexpr int64_t block_pairs = 256;

template <class T>
bool charges_match(DimuonArgs<T> const& a, int64_t i, int64_t j) {
    if (a.charge_class == Charge::any) return true;
    int64_t const product = int64_t{a.charge[i]} * a.charge[j];
    return a.charge_class == Charge::opposite ? product < 0 : product > 0;
}

// Calls pair(i, j) for every chosen pair of one event, i the leading or earlier particle.
template <class T, class Pair>
void choose(DimuonArgs<T> const& a, int64_t event, Pair const& pair) {
    int64_t const start = a.offsets[event], stop = a.offsets[event + 1];
    if (stop - start < 2) return;
    auto passes = [&](int64_t i) { return !a.mask || a.mask[i]; };
    if (a.pairs == Pairs::all) {
        for (int64_t i = start; i < stop; ++i) {
            if (!passes(i)) continue;
            for (int64_t j = i + 1; j < stop; ++j)
                if (passes(j) && charges_match(a, i, j)) pair(i, j);
        }
        return;
    }
    // The two highest pt among those that pass; ties keep the stored order, NaN comes last.
    int64_t first = -1, second = -1;
    auto leads = [&](int64_t i, int64_t j) {
        return a.pt[i] > a.pt[j] || (a.pt[j] != a.pt[j] && a.pt[i] == a.pt[i]);
    };
    for (int64_t i = start; i < stop; ++i) {
        if (!passes(i)) continue;
        if (first < 0 || leads(i, first)) {
            second = first;
            first = i;
        } else if (second < 0 || leads(i, second)) {
            second = i;
        }
    }
    if (second >= 0 && charges_match(a, first, second)) pair(first, second);
}

struct Legs {
    double pt[block_pairs], eta[block_pairs], phi[block_pairs];
    Leg operator[](int64_t i) const { return {pt[i], eta[i], phi[i]}; }
    template <class T>
    void set(int64_t i, DimuonArgs<T> const& a, int64_t particle) {
        pt[i] = static_cast<double>(a.pt[particle]);
        eta[i] = static_cast<double>(a.eta[particle]);
        phi[i] = static_cast<double>(a.phi[particle]);
    }
};

struct Block {
    int64_t size = 0;
    Legs first, second;
};

template <class T>
void compute(DimuonArgs<T> const& a, Block const& block, int64_t at) {
    auto field = [&](T* out, auto const& observable) {
        if (!out) return;
        for (int64_t i = 0; i < block.size; ++i)
            out[at + i] = static_cast<T>(observable(block.first[i], block.second[i]));
    };
    double const m = a.particle_mass;
    field(a.mass, [m](Leg const& p, Leg const& q) { return invariant_mass(p, q, m, m); });
    field(a.pair_pt, [](Leg const& p, Leg const& q) { return pair_pt(p, q); });
    field(a.pair_eta, [](Leg const& p, Leg const& q) { return pair_eta(p, q); });
    field(a.pair_phi, [](Leg const& p, Leg const& q) { return pair_phi(p, q); });
    field(a.delta_r, [](Leg const& p, Leg const& q) { return delta_r(p, q); });
    field(a.delta_pt, [](Leg const& p, Leg const& q) { return p.pt - q.pt; });
    field(a.delta_eta, [](Leg const& p, Leg const& q) { return p.eta - q.eta; });
    field(a.delta_phi, [](Leg const& p, Leg const& q) { return wrap_phi(p.phi - q.phi); });
}

}  // namespace

template <class T>
void dimuon_count(DimuonArgs<T> const& a, Threads threads) {
    a.pair_offsets[0] = 0;
    parallel_events(a.offsets, a.n_events, 1, threads, [&](int64_t begin, int64_t end, int) {
        for (int64_t event = begin; event < end; ++event) {
            int64_t n = 0;
            choose(a, event, [&](int64_t, int64_t) { ++n; });
            a.pair_offsets[event + 1] = n;
        }
    });
    for (int64_t event = 0; event < a.n_events; ++event)
        a.pair_offsets[event + 1] += a.pair_offsets[event];
}

template <class T>
void dimuon(DimuonArgs<T> const& a, Threads threads) {
    parallel_events(a.offsets, a.n_events, 1, threads, [&](int64_t begin, int64_t end, int) {
        Block block;
        int64_t at = a.pair_offsets[begin];
        auto flush = [&] {
            compute(a, block, at);
            at += block.size;
            block.size = 0;
        };
        for (int64_t event = begin; event < end; ++event) {
            if (a.pair_offsets[event + 1] == a.pair_offsets[event]) continue;
            choose(a, event, [&](int64_t i, int64_t j) {
                int64_t const out = at + block.size;
                if (a.event) a.event[out] = event;
                if (a.first) a.first[out] = i;
                if (a.second) a.second[out] = j;
                if (a.pair_charge) a.pair_charge[out] = a.charge[i] + a.charge[j];
                block.first.set(block.size, a, i);
                block.second.set(block.size, a, j);
                if (++block.size == block_pairs) flush();
            });
        }
        flush();
    });
}

template <class T>
void pair_mass(PairMassArgs<T> const& a, Threads threads) {
    parallel_elements(a.n, threads, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            Leg const first{double{a.pt1[i]}, double{a.eta1[i]}, double{a.phi1[i]}};
            Leg const second{double{a.pt2[i]}, double{a.eta2[i]}, double{a.phi2[i]}};
            a.out[i] = static_cast<T>(invariant_mass(first, second, a.mass1, a.mass2));
        }
    });
}

template void dimuon_count(DimuonArgs<float> const&, Threads);
template void dimuon_count(DimuonArgs<double> const&, Threads);
template void dimuon(DimuonArgs<float> const&, Threads);
template void dimuon(DimuonArgs<double> const&, Threads);
template void pair_mass(PairMassArgs<float> const&, Threads);
template void pair_mass(PairMassArgs<double> const&, Threads);

}  // namespace fastjag
