// The part of _cuda that is pages: many at once, where the CPU's threads take one each.
#include "bindings.hpp"
#include "fastjag/kernels_pages.hpp"

namespace fastjag {
void bind_page_rows(py::module_& m) {
    m.def("page_rows", [](Array data, Array rows, int encoding, int64_t bits, double low,
                          double high, Array result, Where where) {
        static_assert(sizeof(PageRow) == 5 * sizeof(int64_t));
        PageRowsArgs a{};
        a.data = in<uint8_t>(data);
        a.rows = reinterpret_cast<PageRow const*>(in<int64_t>(rows));
        a.n_rows = rows.size() / 5;
        a.encoding = static_cast<Encoding>(encoding);
        a.bits = bits;
        a.low = low;
        a.high = high;
        a.wide = result.itemsize() == 8;
        check_layout(result);
        a.out = result.mutable_data();
        unlocked([&] { page_rows(a, place(where)); });
    });
    m.def("adler32", [](Array data, Array runs, Array result, Where where) {
        AdlerArgs const a{in<uint8_t>(data), in<int64_t>(runs), static_cast<int64_t>(result.size()),
                          out<uint32_t>(result)};
        unlocked([&] { adler32(a, place(where)); });
    });
}
}  // namespace fastjag
