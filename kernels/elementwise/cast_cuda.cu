// The CUDA side of cast: as many elements a thread as 16 bytes of the wider type hold, so that both sides move without gaps.
#include "kernels/elementwise/elementwise.h"

#include <algorithm>
#include <type_traits>

#include "kernels/common/cuda_group.h"
#include "kernels/common/cuda_kernel.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 256;

template <class From, class To, int kCount>
__global__ void cast_elements(const From* in, To* out, std::int64_t groups) {
  const std::int64_t g = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (g >= groups) {
    return;
  }
  const Group<From, kCount> from = load_group<kCount>(in + g * kCount);
  Group<To, kCount> to;
  for (int i = 0; i < kCount; ++i) {
    if constexpr (std::is_same_v<From, To>) {
      to.v[i] = from.v[i];  // the bits of a NaN too
    } else {
      to.v[i] = from_float<To>(to_float(from.v[i]));
    }
  }
  store_group(out + g * kCount, to);
}

template <class From, class To, int kCount>
void cast_groups(ConstTensorView in, TensorView out, const Stream& stream) {
  const std::int64_t groups = in.count() / kCount;
  launch("cast", cast_elements<From, To, kCount>, blocks_for(groups, kThreads), kThreads, 0, stream, floats<From>(in),
         floats<To>(out), groups);
}

}  // namespace

void cast_cuda(ConstTensorView in, TensorView out, const Stream& stream) {
  require(in.count() == out.count(), "cast: in and out must have equal counts");
  with_float_type(in.dtype, [&](auto from_zero) {
    with_float_type(out.dtype, [&](auto to_zero) {
      using From = decltype(from_zero);
      using To = decltype(to_zero);
      constexpr int kPack = std::min(Pack<From>::kCount, Pack<To>::kCount);
      const bool packs = fits_groups(in.count(), kPack, {in.data, out.data});
      packs ? cast_groups<From, To, kPack>(in, out, stream) : cast_groups<From, To, 1>(in, out, stream);
    });
  });
}

}  // namespace lora_dist
