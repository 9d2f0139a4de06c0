// The CUDA side of take_slice and add_slice: a thread an element.
#include "kernels/common/cuda_kernel.h"
#include "kernels/elementwise/slice.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 256;

/// kAdds: whole += part, else part = whole.
template <class T, bool kAdds>
__global__ void move_slice(T* whole, T* part, StridedSlice slice) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= slice.rows * slice.width) {
    return;
  }
  const std::int64_t row = i / slice.width;
  T* element = whole + slice.first(row) + i % slice.width;
  if constexpr (kAdds) {
    *element += part[i];
  } else {
    part[i] = *element;
  }
}

template <class T, bool kAdds>
void launch_slice(T* whole, T* part, const StridedSlice& slice, const Stream& stream) {
  if (slice.elements() > 0) {
    launch(kAdds ? "add_slice" : "take_slice", move_slice<T, kAdds>, blocks_for(slice.elements(), kThreads), kThreads, 0, stream,
           whole, part, slice);
  }
}

}  // namespace

void take_slice_cuda(ConstTensorView whole, const StridedSlice& slice, TensorView part, const Stream& stream) {
  check_slice(whole, slice, part);
  launch_slice<float, false>(const_cast<float*>(whole.as<float>()), part.as<float>(), slice, stream);  // which is only read
}

void add_slice_cuda(ConstTensorView part, const StridedSlice& slice, TensorView whole, const Stream& stream) {
  check_slice(whole, slice, part);
  launch_slice<std::int64_t, true>(whole.as<std::int64_t>(), const_cast<std::int64_t*>(part.as<std::int64_t>()), slice, stream);
}

}  // namespace lora_dist
