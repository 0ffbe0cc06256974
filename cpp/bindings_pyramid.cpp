// The part of _cpu and _cuda that is pyramid.
#include <vector>

#include "bindings.hpp"

namespace fastjag {
void bind_pyramid(py::module_& m) {
    m.attr("pyramid_tile") = pyramid_tile;
    m.attr("pyramid_rows") = pyramid_rows;
    m.def("pyramid_codes", [](Array offsets, std::vector<Array> values, std::vector<double> low,
                              std::vector<double> scale, std::vector<bool> circular, int64_t cells,
                              int64_t bits, Optional category, int64_t n_categories, Array shifts,
                              Array codes, Where where) {
        std::vector<PyramidAxis> axes;
        for (size_t d = 0; d < values.size(); ++d) {
            check_layout(values[d]);
            axes.push_back({values[d].data(), dtype_of(values[d]), low[d], scale[d], circular[d]});
        }
        PyramidCodesArgs a{};
        a.offsets = in<int64_t>(offsets);
        a.n_events = events(offsets);
        a.axes = axes.data();
        a.n_axes = static_cast<int64_t>(axes.size());
        a.cells = cells;
        a.bits = bits;
        a.category = in<int64_t>(category);
        a.n_categories = n_categories;
        a.shifts = in<double>(shifts);
        a.n_pyramids = static_cast<int64_t>(shifts.shape(0));
        a.codes = out<uint64_t>(codes);
        unlocked([&] { pyramid_codes(a, place(where)); });
    });
    m.def("pyramid_cells",
          [](Array offsets, Array codes, int64_t n_axes, Array first, Array tree_cells, Array child,
             Array cells, Optional most, Where where) {
              PyramidCellsArgs a{};
              a.offsets = in<int64_t>(offsets);
              a.n_events = events(offsets);
              a.codes = in<uint64_t>(codes);
              a.n_codes = static_cast<int64_t>(codes.size());
              a.tree = {events(first), n_axes, in<int64_t>(first), in<uint64_t>(tree_cells),
                        in<int64_t>(child)};
              a.cells = out<int32_t>(cells);
              a.most = out<int32_t>(most);
              unlocked([&] { pyramid_cells(a, place(where)); });
          });
    m.def("pyramid_features", [](Array offsets, Array cells, Array base, Optional counts,
                                 Optional out_offsets, Optional features, Where where) {
        PyramidFeaturesArgs a{};
        a.offsets = in<int64_t>(offsets);
        a.n_events = events(offsets);
        a.cells = in<int32_t>(cells);
        a.base = in<int32_t>(base);
        a.counts = out<int64_t>(counts);
        a.out_offsets = in<int64_t>(out_offsets);
        a.features = out<int32_t>(features);
        unlocked([&] { pyramid_features(a, place(where)); });
    });
    m.def("pyramid_index", [](Array offsets, Array features, Array plane, Array cursor,
                              Array planes, Array postings, Where where) {
        PyramidIndexArgs a{};
        a.offsets = in<int64_t>(offsets);
        a.n_events = events(offsets);
        a.features = in<int32_t>(features);
        a.plane = in<int32_t>(plane);
        a.n_features = static_cast<int64_t>(plane.size());
        a.n_planes = static_cast<int64_t>(planes.shape(1));
        a.cursor = out<int64_t>(cursor);
        a.planes = out<uint64_t>(planes);
        a.postings = out<int32_t>(postings);
        unlocked([&] { pyramid_index(a, place(where)); });
    });
    m.def("pyramid_gram_scratch", &pyramid_gram_scratch);
    m.def("pyramid_gram",
          [](Array offsets, Array features, int64_t first_row, int64_t last_row, int64_t n_columns,
             Array level_first, Array plane, Array planes, Array posting_offsets, Array postings,
             Optional row_scale, Optional column_scale, bool wide, bool symmetric,
             int64_t most_features, int64_t block_features, Array scratch, Array result,
             Where where) {
              visit<uint16_t, uint32_t, float, double>(result, [&](auto zero) {
                  using Out = decltype(zero);
                  PyramidGramArgs<Out> a{};
                  a.offsets = in<int64_t>(offsets);
                  a.features = in<int32_t>(features);
                  a.first_row = first_row;
                  a.last_row = last_row;
                  a.n_columns = n_columns;
                  a.n_levels = events(level_first);
                  a.level_first = in<int64_t>(level_first);
                  a.plane = in<int32_t>(plane);
                  a.n_planes = static_cast<int64_t>(planes.shape(1));
                  a.planes = in<uint64_t>(planes);
                  a.posting_offsets = in<int64_t>(posting_offsets);
                  a.postings = in<int32_t>(postings);
                  a.row_scale = in<double>(row_scale);
                  a.column_scale = in<double>(column_scale);
                  a.wide = wide;
                  a.symmetric = symmetric;
                  a.most_features = most_features;
                  a.block_features = block_features;
                  a.scratch = out<uint8_t>(scratch);
                  a.out = out<Out>(result);
                  a.stride = static_cast<int64_t>(result.shape(1));
                  unlocked([&] { pyramid_gram(a, place(where)); });
              });
          });
    m.def("largest", [](Array values, Optional exclude, Array index, Array found, Where where) {
        LargestArgs<float> a{};
        a.values = in<float>(values);
        a.n_rows = static_cast<int64_t>(values.shape(0));
        a.n_columns = static_cast<int64_t>(values.shape(1));
        a.exclude = in<int64_t>(exclude);
        a.k = static_cast<int64_t>(index.shape(1));
        a.index = out<int64_t>(index);
        a.largest = out<float>(found);
        unlocked([&] { largest(a, place(where)); });
    });
}

}  // namespace fastjag
