// dimuon: pairs of particles within each event, and their observables.
//
// Two passes: dimuon_count chooses (a group of events at a time in lanes, or one by one) and notes
// the choice; dimuon collects the chosen pairs in blocks and computes each field in a loop of its
// own, free of branches, which the compiler vectorises.
#include "fastjag/dimuon.hpp"

#include "dispatch.hpp"
#include "fastjag/select.hpp"
#include "lanes.hpp"

namespace fastjag::FASTJAG_ISA {
namespace {

constexpr int64_t block_pairs = 256;

// Asks whether to stop, whenever so many candidates have been looked at.
struct Patience {
    Interrupt* interrupt;
    int64_t looked_at = 0;
    bool ended = false;

    bool ends(int64_t more) {
        looked_at += more;
        if (looked_at < int64_t{1} << 20) return false;
        looked_at = 0;
        return ended = must_stop(interrupt);
    }
};

// Calls pair(i, j) for every chosen pair of one event, i the leading or earlier particle.
template <class T, class Pair>
void choose(DimuonArgs<T> const& a, int64_t event, Patience& patience, Pair const& pair) {
    int64_t const start = a.offsets[event], stop = a.offsets[event + 1];
    if (stop - start < 2) return;
    if (a.pairs == Pairs::all) {
        for (int64_t i = start; i < stop; ++i) {
            if (!passes(a, i)) continue;
            for (int64_t j = i + 1; j < stop; ++j)
                if (passes(a, j) && charges_match(a, i, j)) pair(i, j);
            if (patience.ends(stop - i)) return;
        }
        return;
    }
    // The two highest pt among those that pass; ties keep the stored order, NaN comes last.
    // Conditional moves instead of branches that nobody can predict.
    int64_t first = -1, second = -1;
    T first_pt = 0, second_pt = 0;
    for (int64_t i = start; i < stop; ++i) {
        if (!passes(a, i)) continue;
        T const pt = a.pt[i];
        bool const leads = (first < 0) | exceeds(pt, first_pt);
        bool const follows = (second < 0) | exceeds(pt, second_pt);
        second = leads ? first : follows ? i : second;
        second_pt = leads ? first_pt : follows ? pt : second_pt;
        first = leads ? i : first;
        first_pt = leads ? pt : first_pt;
    }
    if (second >= 0 && charges_match(a, first, second)) pair(first, second);
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
        Mask<T> const here = broadcast<Mask<T>>(k);
        Mask<T> const leads = inside & ((first_k < 0) | exceeds(pt, first_pt));
        Mask<T> const follows = inside & ((second_k < 0) | exceeds(pt, second_pt));
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
        found &= convert<Mask<T>>(signs_match(a.charge_class, p, q));
    }
    return found & encode_pair(first_k, second_k);
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
            a.pair_charge[at + i] =
                pair_charge(a.charge[block.first[i]], a.charge[block.second[i]]);
    }
    double const m = a.particle_mass;
#define FASTJAG_WRITE(column, formula)                  \
    if (a.column)                                       \
        for (int64_t i = 0; i < block.size; ++i) {      \
            Leg const p = first[i], q = second[i];      \
            a.column[at + i] = static_cast<T>(formula); \
        }
    FASTJAG_FOR_OBSERVABLES(FASTJAG_WRITE)
#undef FASTJAG_WRITE
}

template <class T>
void count_event(DimuonArgs<T> const& a, int64_t event, Patience& patience) {
    int64_t const start = a.offsets[event];
    int64_t n = 0;
    uint8_t chosen = 0;
    choose(a, event, patience, [&](int64_t i, int64_t j) {
        ++n;
        chosen = static_cast<uint8_t>(encode_pair(i - start, j - start));
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
            store(-convert<Lanes<int64_t>>(chosen != 0), a.pair_offsets + 1 + event);
            store(convert<Lanes<uint8_t>>(chosen), a.choice + event);
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
        uint8_t const chosen = a.pairs == Pairs::leading ? a.choice[event] : does_not_fit;
        if (chosen != does_not_fit) {
            int64_t const start = a.offsets[event];
            block.push(event, start + first_of(chosen), start + second_of(chosen), chosen != 0);
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
    for (int64_t i = begin; i < end; ++i) a.out[i] = pair_mass(a, i);
}

#define FASTJAG_DIMUON(T)                                                                 \
    template void dimuon_count_range(DimuonArgs<T> const&, int64_t, int64_t, Interrupt*); \
    template bool dimuon_range(DimuonArgs<T> const&, int64_t, int64_t, Interrupt*);       \
    template void pair_mass_range(PairMassArgs<T> const&, int64_t, int64_t);
FASTJAG_FOR_FLOAT_TYPES(FASTJAG_DIMUON)

}  // namespace fastjag::FASTJAG_ISA
