// dimuon: pairs of particles within each event, and their observables.
//
// Two passes: dimuon_count chooses (a group of events at a time in lanes, or one by one) and notes
// the choice; dimuon collects the chosen pairs in blocks and computes each field in a loop of its
// own, free of branches, which the compiler vectorises.
#include "fastjag/lorentz.hpp"
#include "lanes.hpp"
#include "ranges.hpp"

namespace fastjag::FASTJAG_ISA {
namespace {

constexpr int64_t block_pairs = 256;

template <class T>
bool charges_match(DimuonArgs<T> const& a, int64_t i, int64_t j) {
    if (a.charge_class == Charge::any) return true;
    int64_t const product = int64_t{a.charge[i]} * a.charge[j];
    return (a.charge_class == Charge::opposite ? -product : product) > 0;
}

// Asks whether to stop, whenever so many candidates have been looked at.
struct Patience {
    Interrupt* interrupt;
    int64_t looked_at = 0;
    bool ended = false;

    bool ends(int64_t more) {
        looked_at += more;
        if (looked_at < int64_t{1} << 20) return false;
        looked_at = 0;
        return ended = stopped(interrupt);
    }
};

// Calls pair(i, j) for every chosen pair of one event, i the leading or earlier particle.
template <class T, class Pair>
void choose(DimuonArgs<T> const& a, int64_t event, Patience& patience, Pair const& pair) {
    int64_t const start = a.offsets[event], stop = a.offsets[event + 1];
    if (stop - start < 2) return;
    auto passes = [&](int64_t i) { return !a.mask || a.mask[i]; };
    if (a.pairs == Pairs::all) {
        for (int64_t i = start; i < stop; ++i) {
            if (!passes(i)) continue;
            for (int64_t j = i + 1; j < stop; ++j)
                if (passes(j) && charges_match(a, i, j)) pair(i, j);
            if (patience.ends(stop - i)) return;
        }
        return;
    }
    // The two highest pt among those that pass; ties keep the stored order, NaN comes last.
    // Conditional moves instead of branches that nobody can predict.
    auto above = [](T x, T y) { return (x > y) | ((y != y) & (x == x)); };
    int64_t first = -1, second = -1;
    T first_pt = 0, second_pt = 0;
    for (int64_t i = start; i < stop; ++i) {
        if (!passes(i)) continue;
        T const pt = a.pt[i];
        bool const leads = (first < 0) | above(pt, first_pt);
        bool const follows = (second < 0) | above(pt, second_pt);
        second = leads ? first : follows ? i : second;
        second_pt = leads ? first_pt : follows ? pt : second_pt;
        first = leads ? i : first;
        first_pt = leads ? pt : first_pt;
    }
    if (second >= 0 && charges_match(a, first, second)) pair(first, second);
}

// The leading pair of an event in one byte, so that the second pass need not choose again:
// positions of both particles, 0 for no pair, `far` where a position does not fit.
constexpr uint8_t far = 255;

uint8_t encode(int64_t first, int64_t second) {
    return first < 15 && second < 15 ? static_cast<uint8_t>(first | (second << 4)) : far;
}

// The same choice of the leading pair for a group of events at once, encoded.
template <class T>
Mask<T> choose_leading(DimuonArgs<T> const& a, Group const& group) {
    Mask<T> first_k = ~Mask<T>{}, second_k = first_k;  // -1: none yet
    Lanes<T> first_pt{}, second_pt{};
    for (int64_t k = 0; k < group.rows; ++k) {
        Lanes<T> const pt = group.row(a.pt, k);
        Mask<T> inside = group.template inside<T>(k);
        if (a.mask) inside &= convert<Mask<T>>(group.row(a.mask, k) != 0);
        Mask<T> const here = everywhere<Mask<T>>(k);
        Mask<T> const number = pt == pt;
        Mask<T> const leads =
            inside & ((first_k < 0) | (pt > first_pt) | ((first_pt != first_pt) & number));
        Mask<T> const follows =
            inside & ((second_k < 0) | (pt > second_pt) | ((second_pt != second_pt) & number));
        second_k = leads ? first_k : follows ? here : second_k;
        second_pt = leads ? first_pt : follows ? pt : second_pt;
        first_k = leads ? here : first_k;
        first_pt = leads ? pt : first_pt;
    }
    Mask<T> found = second_k >= 0;
    if (a.charge_class != Charge::any && group.rows > 0) {
        // A lane without a pair reads the particle at its start, to no effect.
        Lanes<int32_t> const p = group.particle(a.charge, convert<Lanes<int64_t>>(found & first_k));
        Lanes<int32_t> const q =
            group.particle(a.charge, convert<Lanes<int64_t>>(found & second_k));
        Mask<int32_t> const match = a.charge_class == Charge::opposite
                                        ? ((p > 0) & (q < 0)) | ((p < 0) & (q > 0))
                                        : ((p > 0) & (q > 0)) | ((p < 0) & (q < 0));
        found &= convert<Mask<T>>(match);
    }
    Mask<T> const fits = (first_k < 15) & (second_k < 15);
    return found & (fits ? first_k | (second_k << 4) : everywhere<Mask<T>>(far));
}

// Pairs waiting to be computed.
struct Block {
    int64_t size = 0;
    int64_t event[block_pairs], first[block_pairs], second[block_pairs];
    // The pair counts if `valid`: no branch.
    void push(int64_t e, int64_t i, int64_t j, bool valid) {
        event[size] = e;
        first[size] = i;
        second[size] = j;
        size += valid;
    }
};

struct Legs {
    double pt[block_pairs], eta[block_pairs], phi[block_pairs];
    template <class T>
    void gather(DimuonArgs<T> const& a, int64_t const* particles, int64_t n) {
        for (int64_t i = 0; i < n; ++i) pt[i] = static_cast<double>(a.pt[particles[i]]);
        for (int64_t i = 0; i < n; ++i) eta[i] = static_cast<double>(a.eta[particles[i]]);
        for (int64_t i = 0; i < n; ++i) phi[i] = static_cast<double>(a.phi[particles[i]]);
    }
    FASTJAG_HD Leg operator[](int64_t i) const { return {pt[i], eta[i], phi[i]}; }
};

// One loop per field, so that each vectorises and those not asked for cost nothing.
#define FASTJAG_FIELD(out, ...)                          \
    if (out)                                             \
        for (int64_t i = 0; i < block.size; ++i) {       \
            Leg const p = first[i], q = second[i];       \
            (out)[at + i] = static_cast<T>(__VA_ARGS__); \
        }

template <class T>
void compute(DimuonArgs<T> const& a, Block const& block, int64_t at) {
    Legs first, second;
    first.gather(a, block.first, block.size);
    second.gather(a, block.second, block.size);
    for (int64_t i = 0; i < block.size; ++i) {
        if (a.event) a.event[at + i] = block.event[i];
        if (a.first) a.first[at + i] = block.first[i];
        if (a.second) a.second[at + i] = block.second[i];
        if (a.pair_charge)
            a.pair_charge[at + i] = static_cast<int32_t>(  // wraps around, as NumPy's sums do
                static_cast<uint32_t>(a.charge[block.first[i]]) +
                static_cast<uint32_t>(a.charge[block.second[i]]));
    }
    double const m = a.particle_mass;
    FASTJAG_FIELD(a.mass, invariant_mass(p, q, m, m))
    FASTJAG_FIELD(a.pair_pt, pair_pt(p, q))
    FASTJAG_FIELD(a.pair_eta, pair_eta(p, q))
    FASTJAG_FIELD(a.pair_phi, pair_phi(p, q))
    FASTJAG_FIELD(a.delta_r, delta_r(p, q))
    FASTJAG_FIELD(a.delta_pt, p.pt - q.pt)
    FASTJAG_FIELD(a.delta_eta, p.eta - q.eta)
    FASTJAG_FIELD(a.delta_phi, wrap_phi(p.phi - q.phi))
}

template <class T>
void count_event(DimuonArgs<T> const& a, int64_t event, Patience& patience) {
    int64_t const start = a.offsets[event];
    int64_t n = 0;
    uint8_t chosen = 0;
    choose(a, event, patience, [&](int64_t i, int64_t j) {
        ++n;
        chosen = encode(i - start, j - start);
    });
    a.pair_offsets[event + 1] = n;
    if (a.pairs == Pairs::leading) a.choice[event] = chosen;
}

}  // namespace

template <class T>
void dimuon_count_range(DimuonArgs<T> const& a, int64_t begin, int64_t end, Interrupt* interrupt) {
    Patience patience{interrupt};
    int64_t const last = a.offsets[a.n_events];
    int64_t event = begin;
    if (use_lanes && a.pairs == Pairs::leading)
        for (; event + lanes <= end; event += lanes) {
            Group const group(a.offsets, event, last);
            if (!group.usable) {
                for (int l = 0; l < lanes; ++l) count_event(a, event + l, patience);
                continue;
            }
            Mask<T> const chosen = choose_leading(a, group);
            store<int64_t>(-convert<Lanes<int64_t>>(chosen != 0), a.pair_offsets + 1 + event);
            store<uint8_t>(convert<Lanes<uint8_t>>(chosen), a.choice + event);
        }
    for (; event < end && !patience.ended; ++event) count_event(a, event, patience);
}

template <class T>
bool dimuon_range(DimuonArgs<T> const& a, int64_t begin, int64_t end, Interrupt* interrupt) {
    Patience patience{interrupt};
    Block block;
    int64_t at = a.pair_offsets[begin];
    auto flush = [&] {
        compute(a, block, at);
        at += block.size;
        block.size = 0;
    };
    for (int64_t event = begin; event < end; ++event) {
        uint8_t const chosen = a.pairs == Pairs::leading ? a.choice[event] : far;
        if (chosen != far) {
            int64_t const start = a.offsets[event];
            block.push(event, start + (chosen & 15), start + (chosen >> 4), chosen != 0);
            if (block.size == block_pairs) flush();
            continue;
        }
        // Another thread may have changed what pairs are chosen by: there is room for as many only.
        int64_t room = a.pair_offsets[event + 1] - a.pair_offsets[event];
        choose(a, event, patience, [&](int64_t i, int64_t j) {
            if (--room < 0) return;
            block.push(event, i, j, true);
            if (block.size == block_pairs) flush();
        });
        if (patience.ended) return true;
        if (room != 0) return false;
    }
    flush();
    return true;
}

template <class T>
void pair_mass_range(PairMassArgs<T> const& a, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
        Leg const first{double{a.pt1[i]}, double{a.eta1[i]}, double{a.phi1[i]}};
        Leg const second{double{a.pt2[i]}, double{a.eta2[i]}, double{a.phi2[i]}};
        a.out[i] = static_cast<T>(invariant_mass(first, second, a.mass1, a.mass2));
    }
}

#define FASTJAG_DIMUON(T)                                                                 \
    template void dimuon_count_range(DimuonArgs<T> const&, int64_t, int64_t, Interrupt*); \
    template bool dimuon_range(DimuonArgs<T> const&, int64_t, int64_t, Interrupt*);       \
    template void pair_mass_range(PairMassArgs<T> const&, int64_t, int64_t);
FASTJAG_FOR_FLOAT_TYPES(FASTJAG_DIMUON)

}  // namespace fastjag::FASTJAG_ISA
