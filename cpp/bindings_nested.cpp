// The part of _cpu that is nested.
#include "bindings.hpp"
#include "fastjag/kernels_nested.hpp"

namespace fastjag {

namespace {

NestedArgs entries_of(Array const& data, Array const& starts, Array const& stops, Array& counts) {
    if (starts.size() != stops.size() || starts.size() != counts.size())
        throw py::value_error("as many starts as stops and counts");
    NestedArgs a{};
    a.data = in<uint8_t>(data);
    a.size = static_cast<int64_t>(data.size());
    a.starts = in<int64_t>(starts);
    a.stops = in<int64_t>(stops);
    a.n = static_cast<int64_t>(starts.size());
    a.counts = out<int64_t>(counts);
    return a;
}

}  // namespace

void bind_nested(py::module_& m) {
    m.def("count_nested", [](Array data, Array starts, Array stops, Array counts) {
        NestedArgs const a = entries_of(data, starts, stops, counts);
        int64_t bad = 0;
        unlocked([&] { bad = count_nested(a); });
        return bad;
    });
    m.def("nested_lists",
          [](Array data, Array starts, Array stops, Array counts, Array lengths, Array values) {
              NestedArgs a = entries_of(data, starts, stops, counts);
              check_layout(values);
              a.lengths = out<int64_t>(lengths);
              a.n_lists = static_cast<int64_t>(lengths.size());
              a.values = values.mutable_data();
              a.n_values = static_cast<int64_t>(values.size());
              auto const itemsize = static_cast<int64_t>(values.itemsize());
              int64_t bad = 0;
              unlocked([&] { bad = nested_lists(a, itemsize); });
              return bad;
          });
}

}  // namespace fastjag
