// Copies and zeros in stream order.
#include "kernels/copy/copy.h"

#include "kernels/common/cuda_context.h"
#include "kernels/common/device.h"

namespace lora_dist {

namespace {

std::size_t bytes_of(const ConstTensorView& view) { return static_cast<std::size_t>(view.count()) * size_of(view.dtype); }

void check_views(const ConstTensorView& from, const ConstTensorView& to) {
  require(from.dtype == to.dtype && from.count() == to.count(), "copy: dtypes and counts must be equal");
}

}  // namespace

void copy_cuda(ConstTensorView from, TensorView to, const Stream& stream) {
  check_views(from, to);
  copy_bytes(to.data, from.data, bytes_of(from), stream);
}

void zero_cuda(TensorView to, const Stream& stream) {
  if (to.count() > 0) {
    check_cuda(cudaMemsetAsync(to.data, 0, bytes_of(to), cuda_context(stream).stream), "filling with zeros");
  }
}

// From pageable memory the run time takes a copy before it returns, so the source may be reused.
void from_host_cuda(ConstTensorView from, TensorView to, const Stream& stream) { copy_cuda(from, to, stream); }

void to_host_cuda(ConstTensorView from, TensorView to, const Stream& stream) {
  copy_cuda(from, to, stream);
  synchronize(stream);
}

}  // namespace lora_dist
