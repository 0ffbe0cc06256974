"""Mutants of the CUDA kernels that behave as the kernel does, and why: tests/mutants.py leaves them out."""

#: Of each file: (line, mutated line): reason
_OF_FILES = {
    "aggregate.cu": {
        (
            "if (!a.mean && !a.std) return;",
            ";",
        ): "saves work only: what follows is written where it was asked for",
        (
            "if (!out && !position) return;",
            ";",
        ): "saves work only: what follows is written where it was asked for",
        (
            "if (!a.any && !a.all) return;",
            ";",
        ): "saves work only: what follows is written where it was asked for",
    },
    "all_pairs.cuh": {
        (
            "for (int64_t row = i + 1; row < stop; row += warp_lanes) {",
            "for (int64_t row = i + 1; row <= stop; row += warp_lanes) {",
        ): "lanes behind the event match nothing",
        (
            "return (sign > 0) == (charge == Charge::same) ? plus : minus;",
            "return (sign >= 0) == (charge == Charge::same) ? plus : minus;",
        ): "a charge of 0 has returned before",
        (
            "if (n > most_rows && lane_index() == 0) noted.rows().add(event, strips_of(n));",
            "if (n >= most_rows && lane_index() == 0) noted.rows().add(event, strips_of(n));",
        ): "pairs of an event of 128 are written twice, to the same places",
        (
            "if (i >= stop) return false;",
            "if (i > stop) return false;",
        ): "not reached unless a column changes at that moment: all pairs have been counted just before",
        (
            "if (j >= stop) return false;",
            "if (j > stop) return false;",
        ): "not reached unless a column changes at that moment: all pairs have been counted just before",
        (
            "if (a.charge_class != Charge::any && a.charge[i] == 0) continue;",
            ";",
        ): "saves work only: a charge of 0 matches none",
        (
            "if (lane_index() == 0 && at != a.pair_offsets[event + 1]) say_changed(changed);",
            "if (lane_index() != 0 && at != a.pair_offsets[event + 1]) say_changed(changed);",
        ): "all lanes know the same: any may say so",
        (
            "if (lane_index() == 0) say_changed(changed);",
            "if (lane_index() != 0) say_changed(changed);",
        ): "all lanes know the same: any may say so",
        (
            "return (n_particles + strip_rows - 1) / strip_rows;",
            "return (n_particles + strip_rows) / strip_rows;",
        ): "one more strip may have no rows: it counts none behind it, and observes none",
    },
    "events.cuh": {
        (
            "for (int64_t first = global_thread() - lane_index(); first < n_events; first += all_threads()) {",
            "for (int64_t first = global_thread() - lane_index(); first <= n_events; first += all_threads()) {",
        ): "lanes behind the last event do nothing",
        (
            "bool const passed = probe < last && offsets[probe] <= particle;",
            "bool const passed = probe <= last && offsets[probe] <= particle;",
        ): "offsets[last] is above the particle, by the loop's invariant",
        (
            "int64_t event = own < end ? event_of(offsets, n_events, own) : 0;",
            "int64_t event = own <= end ? event_of(offsets, n_events, own) : 0;",
        ): "without particles of its own a warp does not use the event",
        (
            "for (int64_t row = next & ~31; row < until; row += 32) {",
            "for (int64_t row = next & ~31; row <= until; row += 32) {",
        ): "particles from `until` on are left out below",
    },
    "histogram.cu": {
        ("if (all.entries[slot] == 0) continue;", ";"): "adds zeros",
        (
            "constexpr int N = 16 / (sizeof(W) > sizeof(T) ? sizeof(W) : sizeof(T));",
            "constexpr int N = 16 / (sizeof(W) >= sizeof(T) ? sizeof(W) : sizeof(T));",
        ): "the larger one of two equal numbers is either",
    },
    "histogram_cuts.cu": {
        (
            "int64_t const share = (work + gridDim.x - 1) / gridDim.x;",
            "int64_t const share = (work + gridDim.x) / gridDim.x;",
        ): "shares may be one larger: the last ones end with the work",
        (
            "int64_t const from = slot < own ? slot : own + behind;",
            "int64_t const from = slot <= own ? slot : own + behind;",
        ): "slot own is left out, but where nothing stands behind the axis: there behind is 0",
        ("if (p.all.entries[in] == 0) continue;", ";"): "adds zeros",
    },
    "nearest.cu": {
        (
            "if ((Lanes == 1 || lane_index() == 0) && at != limit) say_changed(changed);",
            "if ((Lanes == 1 || lane_index() != 0) && at != limit) say_changed(changed);",
        ): "all lanes know the same: any may say so",
        (
            "return a.right_offsets[event + 1] - a.right_offsets[event] > many_right;",
            "return a.right_offsets[event + 1] - a.right_offsets[event] >= many_right;",
        ): "1024 right particles may be a lane's work or a warp's: the results are the same",
    },
    "padding.cu": {
        (
            "for (uint32_t tile = blockIdx.x * step; tile < axes.cells; tile += gridDim.x * step) {",
            "for (uint32_t tile = blockIdx.x * step; tile <= axes.cells; tile += gridDim.x * step) {",
        ): "a tile without cells",
        (
            "if (axes.cells - tile >= step) {",
            "if (axes.cells - tile > step) {",
        ): "the same cells, one after another",
        (
            "uint32_t const parts = (cells + head + mask_bytes - 1) / mask_bytes;",
            "uint32_t const parts = (cells + head + mask_bytes) / mask_bytes;",
        ): "a part without cells",
        (
            "if constexpr (std::is_floating_point_v<Out> && (standardised || std::is_floating_point_v<In>))",
            "if constexpr (std::is_floating_point_v<Out> || (standardised || std::is_floating_point_v<In>))",
        ): "saves work only: integers are never NaN, nor what they become",
    },
    "pages.cu": {
        (
            "for (int64_t k = 0; k < 5 && at + k < size; ++k)",
            "for (int64_t k = 0; k <= 5 && at + k < size; ++k)",
        ): "bits behind the 40th are masked: a number has 32, from the 7th on at most",
    },
    "pyramid.cu": {
        ("if (b < a) {", "if (b <= a) {"): "exchanges equal values",
        (
            "if ((other < own) == (lane < partner)) own = other;",
            "if ((other <= own) == (lane < partner)) own = other;",
        ): "equal values are exchanged, and no lane is its own partner",
        (
            "if ((other < own) == (lane < partner)) own = other;",
            "if ((other < own) == (lane <= partner)) own = other;",
        ): "equal values are exchanged, and no lane is its own partner",
        (
            "for (int log_size = 1; (int64_t{1} << (log_size - 1)) < n; ++log_size) {",
            "for (int log_size = 1; (int64_t{1} << (log_size - 1)) <= n; ++log_size) {",
        ): "one more merge of what is sorted changes nothing",
        (
            "for (int64_t pair = lane; pair < pairs; pair += warp_lanes) {",
            "for (int64_t pair = lane; pair <= pairs; pair += warp_lanes) {",
        ): "that pair lies behind the last value",
        (
            "for (int64_t at = first; at < end; at += warp_lanes) {",
            "for (int64_t at = first; at <= end; at += warp_lanes) {",
        ): "32 lanes without a cell",
        (
            "int32_t const base = cell < 0 ? 0 : a.base[cell];",
            "int32_t const base = cell <= 0 ? 0 : a.base[cell];",
        ): "base[0] is 0",
        (
            "if (n <= warp_lanes) {",
            "if (n < warp_lanes) {",
        ): "32 values are sorted through memory as well",
        (
            "int64_t const pairs = (n + size - 1) / size * (size / 2);",
            "int64_t const pairs = (n + size) / size * (size / 2);",
        ): "these pairs lie behind the last value",
        (
            "for (int log_half = log_size - 1; log_half >= 0; --log_half) {",
            "for (int log_half = log_size; log_half >= 0; --log_half) {",
        ): "neighbouring blocks, whose halves are sorted, exchange values place by place: that leaves the halves sorted",
        (
            "if (n > 1) sort_by_warp(a.postings + begin, n);",
            "if (n >= 1) sort_by_warp(a.postings + begin, n);",
        ): "saves work only: one value is sorted",
        (
            "if (rank >= below || rank <= kept[n_kept - 1] || j == skip) continue;",
            "if (rank >= below || rank < kept[n_kept - 1] || j == skip) continue;",
        ): "no two columns have the same rank, none has 0, and each is looked at once",
        (
            "kept[i] = rank > other ? rank : other;",
            "kept[i] = rank >= other ? rank : other;",
        ): "the larger one of two equal numbers is either",
        (
            "rank = rank > other ? other : rank;",
            "rank = rank >= other ? other : rank;",
        ): "the smaller one of two equal numbers is either",
        (
            "best = best > other ? best : other;",
            "best = best >= other ? best : other;",
        ): "the larger one of two equal numbers is either",
        (
            "for (int64_t w = 0; w < n_warps; ++w) best = best > warps[w] ? best : warps[w];",
            "for (int64_t w = 0; w < n_warps; ++w) best = best >= warps[w] ? best : warps[w];",
        ): "the larger one of two equal numbers is either",
        (
            "if (level > 0) {",
            "if (level >= 0) {",
        ): "reads the children of the finest cells, which are none, and uses them no more",
        (
            "int64_t low = -1, high = i - 1;",
            "int64_t low = -1, high = i;",
        ): "codes[i] is in this cell, too",
    },
    "pyramid_gram.cu": {
        (
            "if (j % 4 == 1 && carry == 0) break;",
            ";",
        ): "saves work only: a carry of zero changes no digit",
        (
            "for (int64_t at = a.offsets[row]; at < end; at += warp_lanes) {",
            "for (int64_t at = a.offsets[row]; at <= end; at += warp_lanes) {",
        ): "32 lanes without a feature",
        (
            "if (a.plane[feature] >= 0) continue;",
            "if (a.plane[feature] > 0) continue;",
        ): "saves work only: a feature with a plane has an empty list",
        (
            "if (a.plane[feature] >= 0) continue;",
            ";",
        ): "saves work only: a feature with a plane has an empty list",
        (
            "if (at == list_end || a.postings[at] >= column + warp_columns) continue;",
            "if (at == list_end || a.postings[at] > column + warp_columns) continue;",
        ): "saves work only: the loop below ends at once",
        (
            "if (at == list_end || a.postings[at] >= column + warp_columns) continue;",
            ";",
        ): "saves work only: the loop below ends at once",
        (
            "for (; level < a.n_levels - 2; ++level) sums.twice();",
            "for (; level <= a.n_levels - 2; ++level) sums.twice();",
        ): "a row with features has some of the top level, where level is n_levels - 1 already",
        (
            "for (int j = 2; j < n_digits; ++j) {",
            "for (int j = 2; j <= n_digits; ++j) {",
        ): "sums fit into n_digits: no carry is left at the last check, before the end",
        (
            "for (; at < list_end && a.postings[at] < column + warp_columns; ++at)",
            "for (; at < list_end && a.postings[at] <= column + warp_columns; ++at)",
        ): "what it adds lies behind the sums, where planes are written before they are read",
        (
            "if (j % 4 == 1 && carry == 0) break;",
            "if (j % 4 != 1 && carry == 0) break;",
        ): "saves work only: a carry of zero changes no digit",
        (
            "if (j % 4 == 1 && carry == 0) break;",
            "if (j / 4 == 1 && carry == 0) break;",
        ): "saves work only: a carry of zero changes no digit",
    },
    "select.cu": {
        (
            "unsigned const first = bits >= 32 ? all_lanes : bits > 0 ? (1u << bits) - 1 : 0;",
            "unsigned const first = bits >= 32 ? all_lanes : bits >= 0 ? (1u << bits) - 1 : 0;",
        ): "the first 0 bits are none",
        (
            "for (int64_t first = blockIdx.x * group; first < a.n_events; first += gridDim.x * group) {",
            "for (int64_t first = blockIdx.x * group; first <= a.n_events; first += gridDim.x * group) {",
        ): "a group without events holds no particles",
        ("if (end - start > most_ranked) return;", ";"): "what follows writes the same once more",
        (
            "for (int64_t pair = threadIdx.x; pair < pairs; pair += blockDim.x) {",
            "for (int64_t pair = threadIdx.x; pair <= pairs; pair += blockDim.x) {",
        ): "that pair lies behind the last value",
        (
            "for (int64_t size = 2; size < 2 * n; size *= 2)",
            "for (int64_t size = 2; size <= 2 * n; size *= 2)",
        ): "one more merge of what is sorted changes nothing",
        (
            "int64_t const pairs = ((n + size - 1) & -size) / 2;",
            "int64_t const pairs = ((n + size) & -size) / 2;",
        ): "these pairs lie behind the last value",
        (
            "int64_t const even = (a.n_events + gridDim.x - 1) / gridDim.x;",
            "int64_t const even = (a.n_events + gridDim.x) / gridDim.x;",
        ): "groups may be one larger: the last ones end with the events",
        (
            "unsigned const events = __ballot_sync(all_lanes, n > most_ranked && n <= huge_event);",
            "unsigned const events = __ballot_sync(all_lanes, n >= most_ranked && n <= huge_event);",
        ): "writes the same as order_by_rank once more",
    },
    "spread.cuh": {
        (
            "for (int64_t first = global_thread() - lane_index(); first < n_events; first += all_threads()) {",
            "for (int64_t first = global_thread() - lane_index(); first <= n_events; first += all_threads()) {",
        ): "lanes behind the last event do nothing",
        (
            "for (int step = 1; step < warp_lanes; step *= 2) {",
            "for (int step = 1; step <= warp_lanes; step *= 2) {",
        ): "no lane is 32 or more, so nothing is added",
        (
            "for (int64_t turn = 0; turn < total; turn += warp_lanes) {",
            "for (int64_t turn = 0; turn <= total; turn += warp_lanes) {",
        ): "items from `total` on are left out below",
    },
    "sums.cuh": {
        ("if (n == 0) continue;", ";"): "adds zero, and a largest exponent of zero",
        (
            "if (!is_finite(w)) return;",
            ";",
        ): "the flags of such a slot decide what it holds, not its sum",
        ("if (units == 0) return;", ";"): "adds zero",
        (
            "if (!is_finite(w)) return w > 0 ? has_plus_infinity : has_minus_infinity;",
            "if (!is_finite(w)) return w >= 0 ? has_plus_infinity : has_minus_infinity;",
        ): "0 is finite",
    },
    "dimuon.hpp": {
        (
            "return (first < 15) & (second < 15) ? first | (second << 4) : V{} + does_not_fit;",
            "return (first <= 15) & (second < 15) ? first | (second << 4) : V{} + does_not_fit;",
        ): "positions 15 and less than 15 fit into a byte, too: only (15, 15) is 255, and no pair is that",
        (
            "return (first < 15) & (second < 15) ? first | (second << 4) : V{} + does_not_fit;",
            "return (first < 15) & (second <= 15) ? first | (second << 4) : V{} + does_not_fit;",
        ): "positions 15 and less than 15 fit into a byte, too: only (15, 15) is 255, and no pair is that",
    },
    "nearest.hpp": {
        (
            "return (x < y) | ((x == y) & (i < j));",
            "return (x < y) | ((x == y) & (i <= j));",
        ): "takes what it has",
    },
    "pyramid.hpp": {
        ("if (!(t >= 0)) t = 0;", "if (!(t > 0)) t = 0;"): "0 is 0",
        (
            "t = t < 0 ? 0 : t > extent ? extent : t;",
            "t = t <= 0 ? 0 : t > extent ? extent : t;",
        ): "0 is 0",
        (
            "for (int64_t b = 0; cell >> b != 0 && b * n_axes < 64; ++b)",
            "for (int64_t b = 0; cell >> b != 0 && b * n_axes <= 64; ++b)",
        ): "codes have at most 63 bits: no cell has one there",
        (
            "t = t < 0 ? 0 : t > extent ? extent : t;",
            "t = t < 0 ? 0 : t >= extent ? extent : t;",
        ): "the extent is the extent",
        (
            "for (int64_t b = 0; cell >> b != 0 && b * n_axes < 64; ++b)",
            "for (int64_t b = 0; cell >> b != 0 || b * n_axes < 64; ++b)",
        ): "codes have at most 63 bits: the cell has none left where b * n_axes is 64 or more, and before that zeros are added",
    },
    "select.hpp": {
        (
            "return exceeds(x, y) || (!exceeds(y, x) && i < j);",
            "return exceeds(x, y) || (!exceeds(y, x) && i <= j);",
        ): "no particle is compared with itself",
    },
}
#: (file, line, mutated line): reason
EQUIVALENT = {
    (file, *lines): reason
    for file, of_file in _OF_FILES.items()
    for lines, reason in of_file.items()
}
