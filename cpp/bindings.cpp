// What the modules of both devices have in common: check, cast, release the GIL, call.
#include "bindings.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

using namespace fastjag;

namespace {

void bind_padding(py::module_& m) {
    m.def("padding", [](Array offsets, std::vector<Array> columns, Optional order, int64_t width,
                        bool standardise, std::vector<double> mean,
                        std::vector<double> inverse_scale, std::vector<double> low,
                        std::vector<double> high, double nan, py::array fill, bool wrap,
                        bool slots_inside, bool blank, Array values, Optional mask, Where where) {
        std::vector<PaddingColumn> plan;
        auto const size = static_cast<size_t>(fill.itemsize());
        for (size_t i = 0; i < columns.size(); ++i) {
            check_layout(columns[i]);
            plan.push_back({columns[i].data(), dtype_of(columns[i]), mean[i], inverse_scale[i],
                            low[i], high[i], 0});
            std::memcpy(&plan.back().fill, static_cast<char const*>(fill.data()) + i * size, size);
        }
        auto const n_columns = static_cast<int64_t>(plan.size());
        auto run = [&](auto zero) {
            using Out = decltype(zero);
            PaddingArgs<Out> a{};
            a.offsets = in<int64_t>(offsets);
            a.n_events = events(offsets);
            a.order = in<int64_t>(order);
            a.columns = plan.data();
            a.n_columns = n_columns;
            a.n_particles = n_columns > 0 ? static_cast<int64_t>(columns[0].size()) : 0;
            a.width = width;
            a.standardise = standardise;
            a.wrap = wrap;
            a.blank = blank;
            a.nan = nan;
            a.event_stride = width * n_columns;
            a.slot_stride = slots_inside ? 1 : n_columns;  // NFK : NKF
            a.column_stride = slots_inside ? width : 1;
            check_layout(values);
            a.out = static_cast<Out*>(values.mutable_data());
            a.mask = out<uint8_t>(mask);
            unlocked([&] { padding(a, place(where)); });
        };
        bool same = !standardise && std::isnan(nan);
        for (auto const& c : columns) same = same && dtype_of(c) == dtype_of(values);
        if (!same) return visit<float, double>(values, run);
        switch (values.itemsize()) {
            case 1: return run(uint8_t{});
            case 2: return run(uint16_t{});
            case 4: return run(uint32_t{});
            default: return run(uint64_t{});
        }
    });
}

void bind_aggregate(py::module_& m) {
    m.def("aggregate", [](Array offsets, Array values, Optional count, Optional sum, Optional mean,
                          Optional std, Optional min, Optional max, Optional argmin,
                          Optional argmax, Optional any, Optional all, Where where) {
        visit_number(values, [&](auto zero) {
            using T = decltype(zero);
            if (sum) check_layout(*sum);
            AggregateArgs<T> const a{in<int64_t>(offsets), events(offsets),
                                     in<T>(values),        static_cast<int64_t>(values.size()),
                                     out<int64_t>(count),  sum ? sum->mutable_data() : nullptr,
                                     out<double>(mean),    out<double>(std),
                                     out<T>(min),          out<T>(max),
                                     out<int64_t>(argmin), out<int64_t>(argmax),
                                     out<uint8_t>(any),    out<uint8_t>(all)};
            unlocked([&] { aggregate(a, place(where)); });
        });
    });
}

void bind_select(py::module_& m) {
    m.def("select", [](Array offsets, Array mask, Array out_offsets, Where where) {
        SelectArgs const a{in<int64_t>(offsets), events(offsets), in<uint8_t>(mask),
                           static_cast<int64_t>(mask.size()), out<int64_t>(out_offsets)};
        unlocked([&] { select(a, place(where)); });
    });
    m.def("compact", [](Array offsets, Array mask, Array out_offsets, Optional values, Array result,
                        Where where) {
        if (values) check_layout(*values);
        check_layout(result);
        CompactArgs const a{in<int64_t>(offsets),
                            events(offsets),
                            in<uint8_t>(mask),
                            in<int64_t>(out_offsets),
                            values ? values->data() : nullptr,
                            static_cast<int64_t>(result.itemsize()),
                            result.mutable_data(),
                            static_cast<int64_t>(mask.size())};
        unlocked([&] { compact(a, place(where)); });
    });
    m.def("gather", [](Array starts, Array out_offsets, Array values, Array result, Where where) {
        check_layout(values);
        check_layout(result);
        GatherArgs const a{in<int64_t>(starts),
                           events(out_offsets),
                           in<int64_t>(out_offsets),
                           values.data(),
                           static_cast<int64_t>(values.itemsize()),
                           result.mutable_data()};
        unlocked([&] { gather(a, place(where)); });
    });
    m.def("order", [](Array offsets, Array key, int64_t limit, Array result, Where where) {
        visit_number(key, [&](auto zero) {
            using T = decltype(zero);
            OrderArgs<T> const a{in<int64_t>(offsets), events(offsets), in<T>(key), limit,
                                 out<int64_t>(result), result.size()};
            unlocked([&] { order(a, place(where)); });
        });
    });
}

template <class T>
DimuonArgs<T> dimuon_inputs(Array const& offsets, Array const& pt, Array const& eta,
                            Array const& phi, Optional const& charge, Optional const& mask,
                            double particle_mass, int charge_class, int pairs) {
    DimuonArgs<T> a{};
    a.offsets = in<int64_t>(offsets);
    a.n_events = events(offsets);
    a.pt = in<T>(pt);
    a.eta = in<T>(eta);
    a.phi = in<T>(phi);
    a.charge = in<int32_t>(charge);
    a.mask = in<uint8_t>(mask);
    a.n_particles = static_cast<int64_t>(pt.size());
    a.particle_mass = particle_mass;
    a.charge_class = static_cast<Charge>(charge_class);
    a.pairs = static_cast<Pairs>(pairs);
    return a;
}

void bind_dimuon(py::module_& m) {
    m.def("dimuon_count", [](Array offsets, Array pt, Optional charge, Optional mask,
                             int charge_class, int pairs, Array pair_offsets, Optional choice,
                             Where where) {
        visit<float, double>(pt, [&](auto zero) {
            using T = decltype(zero);
            auto a = dimuon_inputs<T>(offsets, pt, pt, pt, charge, mask, 0, charge_class, pairs);
            a.pair_offsets = out<int64_t>(pair_offsets);
            a.choice = out<uint8_t>(choice);
            unlocked([&] { dimuon_count(a, place(where)); });
        });
    });
    m.def("dimuon",
          [](Array offsets, Array pt, Array eta, Array phi, Optional charge, Optional mask,
             double particle_mass, int charge_class, int pairs, Array pair_offsets, Optional choice,
             Optional event, Optional first, Optional second, Optional pair_charge, Optional mass,
             Optional pair_pt, Optional pair_eta, Optional pair_phi, Optional delta_r,
             Optional delta_pt, Optional delta_eta, Optional delta_phi, Where where) {
              visit<float, double>(pt, [&](auto zero) {
                  using T = decltype(zero);
                  auto a = dimuon_inputs<T>(offsets, pt, eta, phi, charge, mask, particle_mass,
                                            charge_class, pairs);
                  a.pair_offsets = out<int64_t>(pair_offsets);
                  a.choice = out<uint8_t>(choice);
                  a.event = out<int64_t>(event);
                  a.first = out<int64_t>(first);
                  a.second = out<int64_t>(second);
                  a.pair_charge = out<int32_t>(pair_charge);
                  a.mass = out<T>(mass);
                  a.pair_pt = out<T>(pair_pt);
                  a.pair_eta = out<T>(pair_eta);
                  a.pair_phi = out<T>(pair_phi);
                  a.delta_r = out<T>(delta_r);
                  a.delta_pt = out<T>(delta_pt);
                  a.delta_eta = out<T>(delta_eta);
                  a.delta_phi = out<T>(delta_phi);
                  unlocked([&] { dimuon(a, place(where)); });
              });
          });
    m.def("pair_mass", [](Array pt1, Array eta1, Array phi1, Array pt2, Array eta2, Array phi2,
                          double mass1, double mass2, Array result, Where where) {
        visit<float, double>(pt1, [&](auto zero) {
            using T = decltype(zero);
            PairMassArgs<T> const a{static_cast<int64_t>(pt1.size()),
                                    in<T>(pt1),
                                    in<T>(eta1),
                                    in<T>(phi1),
                                    in<T>(pt2),
                                    in<T>(eta2),
                                    in<T>(phi2),
                                    mass1,
                                    mass2,
                                    out<T>(result)};
            unlocked([&] { pair_mass(a, place(where)); });
        });
    });
}

template <class T>
NearestArgs<T> nearest_inputs(Array const& left_offsets, Array const& left_eta,
                              Array const& left_phi, Array const& right_offsets,
                              Array const& right_eta, Array const& right_phi) {
    NearestArgs<T> a{};
    a.left_offsets = in<int64_t>(left_offsets);
    a.right_offsets = in<int64_t>(right_offsets);
    a.n_events = events(left_offsets);
    a.left_eta = in<T>(left_eta);
    a.left_phi = in<T>(left_phi);
    a.right_eta = in<T>(right_eta);
    a.right_phi = in<T>(right_phi);
    a.n_right = static_cast<int64_t>(right_eta.size());
    return a;
}

void bind_nearest(py::module_& m) {
    m.def("nearest", [](Array left_offsets, Array left_eta, Array left_phi, Array right_offsets,
                        Array right_eta, Array right_phi, Array index, Array delta_r, Where where) {
        visit<float, double>(left_eta, [&](auto zero) {
            using T = decltype(zero);
            auto a = nearest_inputs<T>(left_offsets, left_eta, left_phi, right_offsets, right_eta,
                                       right_phi);
            a.index = out<int64_t>(index);
            a.delta_r = out<T>(delta_r);
            unlocked([&] { nearest(a, place(where)); });
        });
    });
    // Counts into pair_offsets where there are no index and delta_r, else fills those. The radius
    // is a number or an array.
    m.def("in_cone", [](Array left_offsets, Array left_eta, Array left_phi, Array right_offsets,
                        Array right_eta, Array right_phi, py::object radius, Array pair_offsets,
                        Optional index, Optional delta_r, Where where) {
        Optional radii;
        if (!py::isinstance<py::float_>(radius)) radii = radius.cast<Array>();
        visit<float, double>(left_eta, [&](auto zero) {
            using T = decltype(zero);
            auto a = nearest_inputs<T>(left_offsets, left_eta, left_phi, right_offsets, right_eta,
                                       right_phi);
            if (!radii) a.one_radius = radius.cast<double>();
            a.radius = in<double>(radii);
            a.pair_offsets = out<int64_t>(pair_offsets);
            a.index = out<int64_t>(index);
            a.delta_r = out<T>(delta_r);
            unlocked([&] { index ? in_cone(a, place(where)) : in_cone_count(a, place(where)); });
        });
    });
}

HistogramAxis axis_of(py::tuple const& axis) {  // which keeps the arrays alive
    auto const edges = axis[0].cast<Array>();
    HistogramAxis a{};
    a.edges = in<double>(edges);
    a.n_bins = static_cast<int64_t>(edges.size()) - 2;
    a.n_cells = axis[1].cast<int64_t>();
    a.scale = axis[2].cast<double>();
    a.shift = axis[3].cast<double>();
    a.logarithmic = axis[4].cast<bool>();
    a.first = in<int32_t>(axis[5].cast<Optional>());
    a.steps = axis[6].cast<int64_t>();
    a.margin = axis[7].cast<double>();
    a.margin_single = static_cast<float>(axis[8].cast<double>());
    return a;
}

void bind_histogram(py::module_& m) {
    m.def("histogram_scratch", &histogram_scratch);
    m.def("histogram", [](Array x, py::tuple axis_x, Optional y, std::optional<py::tuple> axis_y,
                          Optional weights, Optional scratch, Optional counts, Optional sumw,
                          Optional sumw2, Where where) {
        visit<float, double>(x, [&](auto zero) {
            using T = decltype(zero);
            auto run = [&](auto weight_zero) {
                using W = decltype(weight_zero);
                HistogramArgs<T, W> a{};
                a.n = static_cast<int64_t>(x.size());
                a.x = in<T>(x);
                a.y = in<T>(y);
                a.weights = in<W>(weights);
                a.axis_x = axis_of(axis_x);
                if (axis_y) a.axis_y = axis_of(*axis_y);
                a.n_slots = (a.axis_x.n_bins + 3) * (axis_y ? a.axis_y.n_bins + 3 : 1);
                if (scratch) {
                    check_layout(*scratch);
                    a.n_copies = scratch->ndim() > 1 ? scratch->shape(1) : 1;
                    a.scratch = scratch->mutable_data();
                }
                a.counts = out<int64_t>(counts);
                a.sumw = out<double>(sumw);
                a.sumw2 = out<double>(sumw2);
                unlocked([&] { histogram(a, place(where)); });
            };
            if (weights)
                visit<float, double>(*weights, run);
            else
                run(double{});
        });
    });
}

StridedColumn strided(Array const& a) {
    check_column(a);
    DType const dtype = dtype_of(a);
    if (dtype != DType::f4 && dtype != DType::f8) throw py::type_error("column must be of floats");
    return {a.data(), a.strides(0) / a.itemsize(), dtype};
}

void bind_histogram_cuts(py::module_& m) {
    m.def("histogram_cuts",
          [](Array scores, py::tuple cuts, std::vector<Array> features, std::vector<py::tuple> axes,
             std::vector<Array> weights, int64_t n_slots, Optional counts, Optional sums,
             Optional scratch, Optional class_of_cut, int64_t first_weight, int64_t all_weights,
             Where where) {
              std::vector<StridedColumn> columns, replicas;
              std::vector<HistogramAxis> axis;
              for (auto const& f : features) columns.push_back(strided(f));
              for (auto const& a : axes) axis.push_back(axis_of(a));
              for (auto const& w : weights) replicas.push_back(strided(w));
              HistogramCutsArgs a{};
              a.n_events = static_cast<int64_t>(scores.size());
              a.scores = strided(scores);
              a.cuts = axis_of(cuts);
              a.features = columns.data();
              a.axes = axis.data();
              a.n_features = static_cast<int64_t>(columns.size());
              a.weights = replicas.data();
              a.n_weights = static_cast<int64_t>(replicas.size());
              a.n_slots = n_slots;
              a.first_weight = first_weight;
              a.all_weights = all_weights;
              if (class_of_cut) {
                  a.class_of_cut = in<int32_t>(*class_of_cut);
                  a.n_passing = static_cast<int64_t>(class_of_cut->size());
                  a.passing = out<int64_t>(counts);
                  a.passing_sums = out<double>(sums);
              } else {
                  a.counts = out<uint32_t>(counts);
                  a.sums = out<double>(sums);
                  a.scratch = out<uint8_t>(scratch);
              }
              unlocked([&] { histogram_cuts(a, place(where)); });
          });
}

}  // namespace

namespace fastjag {

void bind_kernels(py::module_& m) {
    bind_padding(m);
    bind_aggregate(m);
    bind_select(m);
    bind_dimuon(m);
    bind_nearest(m);
    bind_histogram(m);
    bind_histogram_cuts(m);
    bind_pyramid(m);
}

}  // namespace fastjag
