// The part of _cpu that is rows.
#include <algorithm>

#include "bindings.hpp"
#include "fastjag/kernels_rows.hpp"

namespace fastjag {

namespace {

// Bytes of a row, of an array whose first axis has n of them.
int64_t row_bytes(Array const& a, int64_t n) {
    check_layout(a);
    if (a.ndim() < 1 || a.shape(0) != n) throw py::value_error("array has another number of rows");
    return n ? static_cast<int64_t>(a.nbytes()) / n : 0;
}

void check_rows(Array const& rows, int64_t n) {
    int64_t bad = 0;
    if (outside(in<int64_t>(rows), static_cast<int64_t>(rows.size()), n, bad))
        throw py::index_error("row " + std::to_string(bad) + " is none of " + std::to_string(n));
}

// Where lists are; an IndexError for one that is in no piece, or in more than one.
std::vector<int64_t> pieces_of(Array const& bounds, Array const& starts, Array const& offsets) {
    auto const n = static_cast<int64_t>(starts.size()),
               n_bounds = static_cast<int64_t>(bounds.size());
    int64_t const* const b = in<int64_t>(bounds);
    int64_t const* const s = in<int64_t>(starts);
    int64_t const* const o = in<int64_t>(offsets);
    if (events(offsets) != n || o[0] != 0) throw py::value_error("as many starts as lists, from 0");
    std::vector<int64_t> pieces(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) {
        int64_t const size = o[i + 1] - o[i];
        if (size == 0) continue;  // of no piece, and never looked up
        int64_t const piece = std::upper_bound(b, b + n_bounds, s[i]) - b - 1;
        if (size < 0 || piece < 0 || piece + 1 >= n_bounds || size > b[piece + 1] - s[i])
            throw py::index_error("list " + std::to_string(i) + " is in no piece");
        pieces[static_cast<size_t>(i)] = piece;
    }
    return pieces;
}

}  // namespace

void bind_rows(py::module_& m) {
    m.def("take_rows", [](Array records, Array rows, std::vector<int64_t> starts,
                          std::vector<Array> outs, Where where) {
        auto const n = static_cast<int64_t>(rows.size()), n_records = int64_t{records.shape(0)};
        int64_t const size = row_bytes(records, n_records);
        check_rows(rows, n_records);
        std::vector<RecordPart> parts;
        for (size_t k = 0; k < outs.size(); ++k) {
            int64_t const bytes = row_bytes(outs[k], n);
            if (starts.at(k) < 0 || (n && starts[k] + bytes > size))
                throw py::value_error("part is not in the record");
            parts.push_back({starts[k], bytes, static_cast<uint8_t*>(outs[k].mutable_data())});
        }
        TakeRowsArgs const a{in<uint8_t>(records), size,
                             in<int64_t>(rows),    n,
                             parts.data(),         static_cast<int64_t>(parts.size())};
        unlocked([&] { take_rows(a, place(where)); });
    });
    m.def("take_lists", [](Array bounds, Array starts, Array offsets,
                           std::vector<std::vector<Array>> columns, std::vector<Array> outs,
                           Where where) {
        std::vector<ListColumn> plan;
        std::vector<std::vector<uint8_t const*>> from(columns.size());
        size_t const n_pieces = bounds.size() ? static_cast<size_t>(bounds.size()) - 1 : 0;
        int64_t const* const firsts = in<int64_t>(bounds);
        for (size_t k = 0; k < columns.size(); ++k) {
            if (columns[k].size() != n_pieces) throw py::value_error("a piece is missing");
            auto const bytes = static_cast<int64_t>(outs.at(k).itemsize());
            for (size_t p = 0; p < n_pieces; ++p) {
                Array const& piece = columns[k][p];
                check_layout(piece);
                if (piece.itemsize() != bytes) throw py::type_error("a piece has another dtype");
                if (piece.ndim() != 1 || piece.shape(0) != firsts[p + 1] - firsts[p])
                    throw py::value_error("a piece has another number of values");
                from[k].push_back(static_cast<uint8_t const*>(piece.data()));
            }
            check_layout(outs[k]);
            plan.push_back({from[k].data(), bytes, static_cast<uint8_t*>(outs[k].mutable_data())});
        }
        auto const n = events(offsets);
        std::vector<int64_t> const pieces = pieces_of(bounds, starts, offsets);
        for (Array const& values : outs)
            if (values.size() != in<int64_t>(offsets)[n])
                throw py::value_error("out has another number of values");
        TakeListsArgs const a{firsts,
                              pieces.data(),
                              in<int64_t>(starts),
                              in<int64_t>(offsets),
                              n,
                              plan.data(),
                              static_cast<int64_t>(plan.size())};
        unlocked([&] { take_lists(a, place(where)); });
    });
    m.def("deal_rows", [](std::vector<Array> tensors, Array places, int64_t block_rows,
                          std::vector<std::vector<Array>> blocks, Where where) {
        auto const n = static_cast<int64_t>(places.size());
        if (block_rows < 1 || block_rows >= int64_t{1} << 31)
            throw py::value_error("block_rows is out of range");
        size_t const n_blocks = blocks.empty() ? 0 : blocks[0].size();
        check_rows(places, block_rows * static_cast<int64_t>(n_blocks));
        std::vector<std::vector<uint8_t*>> to(tensors.size());
        std::vector<DealtTensor> dealt;
        for (size_t k = 0; k < tensors.size(); ++k) {
            int64_t const bytes = row_bytes(tensors[k], n);
            if (blocks.at(k).size() != n_blocks) throw py::value_error("a block is missing");
            bool aligned = true;
            for (Array& block : blocks[k]) {
                if (row_bytes(block, block_rows) != bytes && n)
                    throw py::value_error("a block has rows of another size");
                to[k].push_back(static_cast<uint8_t*>(block.mutable_data()));
                aligned = aligned && reinterpret_cast<uintptr_t>(to[k].back()) % 64 == 0;
            }
            dealt.push_back(
                {static_cast<uint8_t const*>(tensors[k].data()), bytes, to[k].data(), aligned});
        }
        DealRowsArgs const a{in<int64_t>(places), n, block_rows, dealt.data(),
                             static_cast<int64_t>(dealt.size())};
        unlocked([&] { deal_rows(a, place(where)); });
    });
    m.def("permutation", [](Array words, bool inverse, Array result) {
        if (words.size() != result.size()) throw py::value_error("as many words as numbers");
        PermutationArgs const a{in<uint64_t>(words), static_cast<int64_t>(words.size()), inverse,
                                out<int64_t>(result)};
        unlocked([&] { permutation(a); });
    });
}

}  // namespace fastjag
