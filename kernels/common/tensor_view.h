// Non-owning, contiguous, row-major views with a dtype that is checked when the data is touched.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "kernels/common/check.h"
#include "kernels/common/dtype.h"

namespace lora_dist {

inline constexpr int kMaxDims = 4;

/// Shape of a view: up to four dimensions, the last one fastest.
struct Shape {
  std::array<std::int64_t, kMaxDims> dims{};
  int rank = 0;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> list) {
    require(list.size() <= kMaxDims, "a view has at most four dimensions");
    for (std::int64_t dim : list) {
      dims[static_cast<std::size_t>(rank++)] = dim;
    }
  }

  std::int64_t operator[](int i) const { return dims[static_cast<std::size_t>(i)]; }

  std::int64_t count() const {
    std::int64_t n = 1;
    for (int i = 0; i < rank; ++i) {
      n *= dims[static_cast<std::size_t>(i)];
    }
    return n;
  }

  bool operator==(const Shape&) const = default;
};

/// A read-only view.
struct ConstTensorView {
  const void* data = nullptr;
  DType dtype = DType::f32;
  Shape shape;

  std::int64_t rows() const { return shape[0]; }               // of a 2-D view
  std::int64_t cols() const { return shape[shape.rank - 1]; }  // last dimension
  std::int64_t count() const { return shape.count(); }

  /// The data as T; throws KernelError when T is not the view's dtype.
  template <class T>
  const T* as() const {
    require(DTypeOf<T>::value == dtype, "a view was read as another dtype");
    return static_cast<const T*>(data);
  }
};

/// A view that may be written.
struct TensorView {
  void* data = nullptr;
  DType dtype = DType::f32;
  Shape shape;

  std::int64_t rows() const { return shape[0]; }
  std::int64_t cols() const { return shape[shape.rank - 1]; }
  std::int64_t count() const { return shape.count(); }

  template <class T>
  T* as() const {
    require(DTypeOf<T>::value == dtype, "a view was written as another dtype");
    return static_cast<T*>(data);
  }

  operator ConstTensorView() const { return {data, dtype, shape}; }  // NOLINT(google-explicit-constructor)
};

/// The extent of a view.
inline std::int64_t size_in_bytes(ConstTensorView view) { return view.count() * static_cast<std::int64_t>(size_of(view.dtype)); }

/// Views over typed memory: view(ptr, {rows, cols}).
template <class T>
TensorView view(T* data, Shape shape) {
  return {data, DTypeOf<T>::value, shape};
}
template <class T>
ConstTensorView view(const T* data, Shape shape) {
  return {data, DTypeOf<T>::value, shape};
}
/// A whole span as a view of one dimension.
template <class T>
TensorView view(std::span<T> values) {
  return view(values.data(), {static_cast<std::int64_t>(values.size())});
}
template <class T>
ConstTensorView view(std::span<const T> values) {
  return view(values.data(), {static_cast<std::int64_t>(values.size())});
}

}  // namespace lora_dist
