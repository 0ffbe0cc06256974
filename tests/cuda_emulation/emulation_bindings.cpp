// The emulation's own functions in an extension module: device memory and what was seen in it.
#include <pybind11/pybind11.h>

#include <utility>

#include "emulation.hpp"

namespace py = pybind11;

namespace {
std::string failing;
int asked_before = 0;  // how often it is asked and does not fail yet
int mutant_that_is_on = 0;
}  // namespace

// Asked by kernels with mutants in them: tests/mutant_sources.py.
namespace cuda_emulation {
bool mutant(int number);
}
bool cuda_emulation::mutant(int number) { return number == mutant_that_is_on; }

cudaError_t cuda_emulation::failure(char const* of) {
    if (failing != of || asked_before-- > 0) return cudaSuccess;
    failing.clear();
    return cudaErrorInvalidValue;
}

void bind_extras(py::module_& m) {
    using namespace cuda_emulation;
    m.def("allocate", &allocate, py::arg("nbytes"), py::arg("initialised"));
    m.def("free", &release, py::arg("address"));
    m.def(
        "mark_written",
        [](uintptr_t address, size_t offset, size_t n) { mark(address + offset, n, true); },
        py::arg("address"), py::arg("offset"), py::arg("nbytes"));
    m.def(
        "poison",
        [](uintptr_t address, size_t offset, size_t n) { mark(address + offset, n, false); },
        py::arg("address"), py::arg("offset"), py::arg("nbytes"));
    m.def(
        "unwritten",
        [](uintptr_t address, size_t offset, size_t n) {
            return first_unwritten(address + offset, n);
        },
        py::arg("address"), py::arg("offset"), py::arg("nbytes"));
    // The next launch, or synchronisation, reports an invalid argument.
    m.def(
        "fail",
        [](std::string const& what, int after) {
            failing = what;
            asked_before = after;
        },
        py::arg("what"), py::arg("after") = 0);
    m.def("turn_on", [](int number) { mutant_that_is_on = number; }, py::arg("mutant"));
    m.def("live_buffers", &live_buffers);
    m.def("launched", [] {  // since it was called last
        py::list rows;
        for (Launch const& l : std::exchange(launched, {}))
            rows.append(py::make_tuple(l.kernel, l.wanted_blocks, l.threads, l.shared_bytes));
        return rows;
    });
    m.def(
        "set_schedule", [](py::object const& s) { set_schedule(py::str(s)); }, py::arg("schedule"));
    // How many blocks run at once: 1 to make loops over a grid go round with little data.
    m.def("set_blocks", [](int n) { resident_blocks = n; }, py::arg("n"));
    m.def("count_accesses", &count_accesses, py::arg("wanted"));
    m.def("statistics", [] {
        py::list rows;
        for (Traffic const& t : statistics()) {
            py::dict row;
            row["kernel"] = t.kernel;
            row["kind"] = t.kind;
            row["where"] = t.where;
            row["accesses"] = t.accesses;
            row["sectors"] = t.sectors;
            row["ideal_sectors"] = t.ideal_sectors;
            row["worst_conflict"] = t.worst_conflict;
            rows.append(row);
        }
        return rows;
    });
    m.def("reset", [] {
        failing.clear();
        forget_statistics();
        set_schedule("cycle");
        resident_blocks = 16;
        count_accesses(false);
    });
}
