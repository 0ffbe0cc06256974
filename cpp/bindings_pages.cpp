// The part of _cpu that is pages.
#include "bindings.hpp"
#include "fastjag/kernels_pages.hpp"

namespace fastjag {
void bind_pages(py::module_& m) {
    m.def("pages", [](Array data, int encoding, int64_t bits, double low, double high, int64_t base,
                      int64_t n, int64_t first, Array result, Where where) {
        PagesArgs a{};
        a.data = in<uint8_t>(data);
        a.n = n;
        a.first = first;
        a.count = static_cast<int64_t>(result.size());
        a.encoding = static_cast<Encoding>(encoding);
        a.bits = bits;
        a.low = low;
        a.high = high;
        a.base = base;
        if (static_cast<int64_t>(data.size()) < page_bytes(a.n, bits))
            throw py::value_error("page is too short");
        if (first < 0 || first + a.count > n ||
            (a.encoding == Encoding::split_index && a.count < n))
            throw py::value_error("the page does not have these numbers");
        switch (a.encoding) {
            case Encoding::index:
            case Encoding::split_index: a.out = out<int64_t>(result); break;
            case Encoding::bit: a.out = out<uint8_t>(result); break;
            case Encoding::half:
            case Encoding::split_half:
            case Encoding::truncated: a.out = out<float>(result); break;
            case Encoding::quantised:
                visit<float, double>(result, [&](auto zero) {
                    a.wide = sizeof zero == 8;
                    a.out = out<decltype(zero)>(result);
                });
                break;
            default:
                check_layout(result);
                if (8 * result.itemsize() != bits)
                    throw py::type_error("output has the wrong dtype");
                a.out = result.mutable_data();
        }
        unlocked([&] { pages(a, place(where)); });
    });
}
}  // namespace fastjag
