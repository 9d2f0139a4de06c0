// Copies without conversion: within a backend, and between the host and the operators' memory.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// to = from: same dtype and count, no overlap.
void copy_cpu(ConstTensorView from, TensorView to, const Stream& stream);
void copy_cuda(ConstTensorView from, TensorView to, const Stream& stream);

/// Every bit zero.
void zero_cpu(TensorView to, const Stream& stream);
void zero_cuda(TensorView to, const Stream& stream);

/// `from` is host memory (same dtype and count); `to` is the operators' memory. In stream order; `from` may be reused at once.
void from_host_cpu(ConstTensorView from, TensorView to, const Stream& stream);
void from_host_cuda(ConstTensorView from, TensorView to, const Stream& stream);

/// `to` is host memory. Waits until the copy, and so all earlier work, is done.
void to_host_cpu(ConstTensorView from, TensorView to, const Stream& stream);
void to_host_cuda(ConstTensorView from, TensorView to, const Stream& stream);

inline void copy(ConstTensorView from, TensorView to, const Stream& stream) { LORA_DIST_DISPATCH(copy, stream, from, to); }
inline void zero(TensorView to, const Stream& stream) { LORA_DIST_DISPATCH(zero, stream, to); }
inline void from_host(ConstTensorView from, TensorView to, const Stream& stream) {
  LORA_DIST_DISPATCH(from_host, stream, from, to);
}
inline void to_host(ConstTensorView from, TensorView to, const Stream& stream) { LORA_DIST_DISPATCH(to_host, stream, from, to); }

/// Throws KernelError unless one can be copied to the other.
inline void check_copy(ConstTensorView from, ConstTensorView to) {
  require(from.dtype == to.dtype && from.count() == to.count(), "copy: dtypes and counts must be equal");
}

}  // namespace lora_dist
