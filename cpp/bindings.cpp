// The _cpu module: check, cast, release the GIL, call. Friendly messages are made in Python
// (kernels/); what is refused here is a bug of that layer, never a copy made in silence.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "fastjag/kernels.hpp"
#include "ranges.hpp"

namespace py = pybind11;
using namespace fastjag;
using Optional = std::optional<py::array>;

namespace {

void check_layout(py::array const& a) {
    constexpr int wanted = py::array::c_style + int{py::detail::npy_api::NPY_ARRAY_ALIGNED_};
    if ((a.flags() & wanted) != wanted)
        throw py::type_error("array must be contiguous and aligned");
    if (a.dtype().byteorder() == '>') throw py::type_error("array must be in native byte order");
}

DType dtype_of(py::array const& a) {
    std::string const name =
        std::string(1, a.dtype().kind()) + std::to_string(a.dtype().itemsize());
    if (name == "b1" || name == "u1") return DType::u1;
    if (name == "u2") return DType::u2;
    if (name == "u4") return DType::u4;
    if (name == "u8") return DType::u8;
    if (name == "i1") return DType::i1;
    if (name == "i2") return DType::i2;
    if (name == "i4") return DType::i4;
    if (name == "i8") return DType::i8;
    if (name == "f4") return DType::f4;
    if (name == "f8") return DType::f8;
    throw py::type_error("unsupported dtype " + name);
}

template <class T>
constexpr DType dtype_for() {
    if constexpr (std::is_floating_point_v<T>)
        return sizeof(T) == 4 ? DType::f4 : DType::f8;
    else
        return static_cast<DType>((std::is_signed_v<T> ? 4 : 0) + (sizeof(T) == 1   ? 0
                                                                   : sizeof(T) == 2 ? 1
                                                                   : sizeof(T) == 4 ? 2
                                                                                    : 3));
}

template <class T>
T const* in(py::array const& a) {
    check_layout(a);
    if (dtype_of(a) != dtype_for<T>()) throw py::type_error("array has the wrong dtype");
    return static_cast<T const*>(a.data());
}

template <class T>
T* out(py::array& a) {
    check_layout(a);
    if (dtype_of(a) != dtype_for<T>()) throw py::type_error("output has the wrong dtype");
    return static_cast<T*>(a.mutable_data());  // throws where read-only
}

template <class T>
T const* in(Optional const& a) {
    return a ? in<T>(*a) : nullptr;
}

template <class T>
T* out(Optional& a) {
    return a ? out<T>(*a) : nullptr;
}

template <class... T, class F>
void visit(py::array const& a, F const& f) {
    DType const dtype = dtype_of(a);
    if (!((dtype == dtype_for<T>() ? (f(T{}), true) : false) || ...))
        throw py::type_error("unsupported dtype");
}

template <class F>
void visit_number(py::array const& a, F const& f) {
    visit<uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t, float, double>(
        a, f);
}

template <class F>
void unlocked(F const& f) {
    py::gil_scoped_release release;  // kernels touch raw buffers only, which the caller keeps alive
    f();
}

int64_t events(py::array const& offsets) { return static_cast<int64_t>(offsets.size()) - 1; }

void bind_padding(py::module_& m) {
    m.def("padding", [](py::array offsets, std::vector<py::array> columns, Optional order,
                        int64_t width, bool standardise, std::vector<double> mean,
                        std::vector<double> inverse_scale, double low, double high, py::array fill,
                        bool slots_inside, bool blank, py::array values, Optional mask,
                        int threads) {
        std::vector<PaddingColumn> plan;
        for (size_t i = 0; i < columns.size(); ++i) {
            check_layout(columns[i]);
            plan.push_back({columns[i].data(), dtype_of(columns[i]), mean[i], inverse_scale[i]});
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
            a.width = width;
            a.standardise = standardise;
            a.blank = blank;
            a.low = low;
            a.high = high;
            a.fill = *static_cast<Out const*>(fill.data());
            a.event_stride = width * n_columns;
            a.slot_stride = slots_inside ? 1 : n_columns;  // NFK : NKF
            a.column_stride = slots_inside ? width : 1;
            check_layout(values);
            a.out = static_cast<Out*>(values.mutable_data());
            a.mask = out<uint8_t>(mask);
            unlocked([&] { padding(a, {threads}); });
        };
        bool same = !standardise;
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
    m.def("aggregate", [](py::array offsets, py::array values, Optional count, Optional sum,
                          Optional mean, Optional std, Optional min, Optional max, Optional argmin,
                          Optional argmax, Optional any, Optional all, int threads) {
        visit_number(values, [&](auto zero) {
            using T = decltype(zero);
            if (sum) check_layout(*sum);
            AggregateArgs<T> const a{in<int64_t>(offsets),
                                     events(offsets),
                                     in<T>(values),
                                     out<int64_t>(count),
                                     sum ? sum->mutable_data() : nullptr,
                                     out<double>(mean),
                                     out<double>(std),
                                     out<T>(min),
                                     out<T>(max),
                                     out<int64_t>(argmin),
                                     out<int64_t>(argmax),
                                     out<uint8_t>(any),
                                     out<uint8_t>(all)};
            unlocked([&] { aggregate(a, {threads}); });
        });
    });
}

void bind_select(py::module_& m) {
    m.def("select", [](py::array offsets, py::array mask, py::array out_offsets, int threads) {
        SelectArgs const a{in<int64_t>(offsets), events(offsets), in<uint8_t>(mask),
                           out<int64_t>(out_offsets)};
        unlocked([&] { select(a, {threads}); });
    });
    m.def("compact", [](py::array offsets, py::array mask, py::array out_offsets, py::array values,
                        py::array result, int threads) {
        check_layout(values);
        check_layout(result);
        CompactArgs const a{in<int64_t>(offsets), events(offsets),
                            in<uint8_t>(mask),    in<int64_t>(out_offsets),
                            values.data(),        static_cast<int64_t>(values.itemsize()),
                            result.mutable_data()};
        unlocked([&] { compact(a, {threads}); });
    });
    m.def("gather", [](py::array starts, py::array out_offsets, py::array values, py::array result,
                       int threads) {
        check_layout(values);
        check_layout(result);
        GatherArgs const a{in<int64_t>(starts),
                           events(out_offsets),
                           in<int64_t>(out_offsets),
                           values.data(),
                           static_cast<int64_t>(values.itemsize()),
                           result.mutable_data()};
        unlocked([&] { gather(a, {threads}); });
    });
    m.def("order",
          [](py::array offsets, py::array key, int64_t limit, py::array result, int threads) {
              visit_number(key, [&](auto zero) {
                  using T = decltype(zero);
                  OrderArgs<T> const a{in<int64_t>(offsets), events(offsets), in<T>(key), limit,
                                       out<int64_t>(result)};
                  unlocked([&] { order(a, {threads}); });
              });
          });
}

template <class T>
DimuonArgs<T> dimuon_inputs(py::array const& offsets, py::array const& pt, py::array const& eta,
                            py::array const& phi, Optional const& charge, Optional const& mask,
                            double particle_mass, int charge_class, int pairs) {
    DimuonArgs<T> a{};
    a.offsets = in<int64_t>(offsets);
    a.n_events = events(offsets);
    a.pt = in<T>(pt);
    a.eta = in<T>(eta);
    a.phi = in<T>(phi);
    a.charge = in<int32_t>(charge);
    a.mask = in<uint8_t>(mask);
    a.particle_mass = particle_mass;
    a.charge_class = static_cast<Charge>(charge_class);
    a.pairs = static_cast<Pairs>(pairs);
    return a;
}

void bind_dimuon(py::module_& m) {
    m.def("dimuon_count", [](py::array offsets, py::array pt, Optional charge, Optional mask,
                             int charge_class, int pairs, py::array pair_offsets, Optional choice,
                             int threads) {
        visit<float, double>(pt, [&](auto zero) {
            using T = decltype(zero);
            auto a = dimuon_inputs<T>(offsets, pt, pt, pt, charge, mask, 0, charge_class, pairs);
            a.pair_offsets = out<int64_t>(pair_offsets);
            a.choice = out<uint8_t>(choice);
            unlocked([&] { dimuon_count(a, {threads}); });
        });
    });
    m.def("dimuon", [](py::array offsets, py::array pt, py::array eta, py::array phi,
                       Optional charge, Optional mask, double particle_mass, int charge_class,
                       int pairs, py::array pair_offsets, Optional choice, Optional event,
                       Optional first, Optional second, Optional pair_charge, Optional mass,
                       Optional pair_pt, Optional pair_eta, Optional pair_phi, Optional delta_r,
                       Optional delta_pt, Optional delta_eta, Optional delta_phi, int threads) {
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
            unlocked([&] { dimuon(a, {threads}); });
        });
    });
    m.def("pair_mass",
          [](py::array pt1, py::array eta1, py::array phi1, py::array pt2, py::array eta2,
             py::array phi2, double mass1, double mass2, py::array result, int threads) {
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
                  unlocked([&] { pair_mass(a, {threads}); });
              });
          });
}

HistogramAxis axis_of(py::array const& edges, double margin) {
    auto const* e = in<double>(edges);
    auto const n = static_cast<int64_t>(edges.size()) - 1;
    return {n, e[0], e[n], static_cast<double>(n) / (e[n] - e[0]), e, margin};
}

void bind_histogram(py::module_& m) {
    m.def("histogram", [](py::array x, py::array edges_x, double margin_x, Optional y,
                          Optional edges_y, double margin_y, Optional weights, py::array scratch,
                          Optional counts, Optional sumw, Optional sumw2, int threads) {
        visit<float, double>(x, [&](auto zero) {
            using T = decltype(zero);
            auto run = [&](auto weight_zero) {
                using W = decltype(weight_zero);
                HistogramArgs<T, W> a{};
                a.n = static_cast<int64_t>(x.size());
                a.x = in<T>(x);
                a.y = in<T>(y);
                a.weights = in<W>(weights);
                a.axis_x = axis_of(edges_x, margin_x);
                if (edges_y) a.axis_y = axis_of(*edges_y, margin_y);
                a.n_slots = (a.axis_x.n_bins + 3) * (edges_y ? a.axis_y.n_bins + 3 : 1);
                check_layout(scratch);
                a.scratch = scratch.mutable_data();
                a.counts = out<int64_t>(counts);
                a.sumw = out<double>(sumw);
                a.sumw2 = out<double>(sumw2);
                unlocked([&] { histogram(a, {threads}); });
            };
            if (weights)
                visit<float, double>(*weights, run);
            else
                run(double{});
        });
    });
}

}  // namespace

PYBIND11_MODULE(_cpu, m, py::mod_gil_not_used()) {
    m.doc() = "Compiled CPU kernels of fastjag; use them through fastjag.kernels.";
    m.attr("compiler") = __VERSION__;
    m.attr("simd") = simd_name();
    m.attr("sanitized") = static_cast<bool>(FASTJAG_SANITIZED);
    bind_padding(m);
    bind_aggregate(m);
    bind_select(m);
    bind_dimuon(m);
    bind_histogram(m);
}
