// The part of _cpu that is rows.
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
