// Arrays of the _cuda module: whatever has __cuda_array_interface__ (CuPy, torch, numba). Kernels
// run on the stream of the caller.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <bit>
#include <string>
#include <vector>

#include "dtype.hpp"

namespace fastjag {

// Memory of a GPU that a Python object owns, which outlives the call: the caller holds it.
class Array {
  public:
    Array() = default;
    explicit Array(pybind11::dict const& interface) {
        auto const pointer = interface["data"].cast<pybind11::tuple>();
        address_ = pointer[0].cast<uintptr_t>();
        read_only_ = pointer[1].cast<bool>();
        shape_ = interface["shape"].cast<std::vector<int64_t>>();
        type_ = interface["typestr"].cast<std::string>();
        itemsize_ = std::stoll(type_.substr(2));
        strides_.assign(shape_.size(), itemsize_);
        for (size_t i = shape_.size(); i-- > 1;) strides_[i - 1] = strides_[i] * shape_[i];
        contiguous_ = true;
        if (interface.contains("strides") && !interface["strides"].is_none()) {
            auto const given = interface["strides"].cast<std::vector<int64_t>>();
            contiguous_ = size() == 0 || given == strides_;
            strides_ = given;
        }
    }

    void const* data() const { return std::bit_cast<void const*>(address_); }
    void* mutable_data() {
        if (read_only_) throw pybind11::value_error("array is read-only");
        return std::bit_cast<void*>(address_);
    }
    int64_t ndim() const { return static_cast<int64_t>(shape_.size()); }
    int64_t shape(int64_t axis) const { return shape_.at(static_cast<size_t>(axis)); }
    int64_t strides(int64_t axis) const { return strides_.at(static_cast<size_t>(axis)); }
    int64_t itemsize() const { return itemsize_; }
    int64_t size() const {
        int64_t n = 1;
        for (int64_t extent : shape_) n *= extent;
        return n;
    }
    bool contiguous() const { return contiguous_; }
    bool native() const {
        return type_[0] != '>' && address_ % static_cast<size_t>(itemsize_) == 0;
    }
    std::string kind() const { return type_.substr(1); }

  private:
    uintptr_t address_ = 0;
    bool read_only_ = true, contiguous_ = false;
    int64_t itemsize_ = 1;
    std::string type_;
    std::vector<int64_t> shape_, strides_;
};

// The last argument of every function: a Stream, as its handle or as a tuple of that and two arrays
// or None.
struct Where {
    uintptr_t stream = 0;
    Array changed, scratch;
};
inline Stream place(Where const& where) {
    return {std::bit_cast<void*>(where.stream),
            static_cast<int32_t*>(const_cast<void*>(where.changed.data())),
            const_cast<void*>(where.scratch.data())};
}

inline void check_layout(Array const& a) {
    if (!a.contiguous() || !a.native())
        throw pybind11::type_error("array must be contiguous, aligned and in native byte order");
}

inline void check_column(Array const& a) {
    if (a.ndim() != 1 || !a.native() || a.strides(0) % a.itemsize() != 0)
        throw pybind11::type_error(
            "column must be one-dimensional, aligned and in native byte order");
}

inline DType dtype_of(Array const& a) { return parse_dtype(a.kind()); }

}  // namespace fastjag

template <>
struct pybind11::detail::type_caster<fastjag::Where> {
    PYBIND11_TYPE_CASTER(fastjag::Where, const_name("Where"));
    bool load(handle source, bool) {
        if (!isinstance<tuple>(source)) {
            value.stream = source.cast<uintptr_t>();
            return true;
        }
        auto const given = source.cast<tuple>();
        value.stream = handle(given[0]).cast<uintptr_t>();
        auto const array = [&](size_t i) {
            handle const object = given[i];
            return object.is_none()
                       ? fastjag::Array()
                       : fastjag::Array(object.attr("__cuda_array_interface__").cast<dict>());
        };
        value.changed = array(1);
        value.scratch = array(2);
        return true;
    }
};

template <>
struct pybind11::detail::type_caster<fastjag::Array> {
    PYBIND11_TYPE_CASTER(fastjag::Array, const_name("DeviceArray"));
    bool load(handle source, bool) {
        object const interface = getattr(source, "__cuda_array_interface__", none());
        if (interface.is_none()) return false;  // which is built anew whenever it is asked for
        value = fastjag::Array(interface.cast<dict>());
        return true;
    }
};
