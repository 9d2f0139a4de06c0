// The CUDA side of split_qkv and join_qkv: a block per token; a thread moves groups of neighbouring elements, in the order of the
// fused row.
#include "kernels/fused_qkv/fused_qkv.h"

#include <limits>

#include "kernels/common/cuda_group.h"

namespace lora_dist {
namespace {

constexpr int kMostThreads = 256;
constexpr int kGroupsPerThread = 4;

template <class T>
struct Parts {
  T* of[3];  // q, k and v: [tokens, width]
};

// span: contiguous elements of q, k or v in the fused row: the whole width for slices, head_dim for per_head.
template <class T, int kCount, bool kSplits>
__global__ void move_token(T* fused, Parts<T> parts, int width, int span) {
  T* row = fused + static_cast<std::int64_t>(blockIdx.x) * 3 * width;
  const std::int64_t part_row = static_cast<std::int64_t>(blockIdx.x) * width;
  for (int at = static_cast<int>(threadIdx.x) * kCount; at < 3 * width; at += static_cast<int>(blockDim.x) * kCount) {
    const int whole = at / span;  // spans before this one
    T* side = parts.of[whole % 3] + part_row + whole / 3 * span + (at - whole * span);
    if constexpr (kSplits) {
      store_group(side, load_group<kCount>(static_cast<const T*>(row + at)));
    } else {
      store_group(row + at, load_group<kCount>(static_cast<const T*>(side)));
    }
  }
}

template <class T, int kCount, bool kSplits>
void move(T* fused, const Parts<T>& parts, std::int64_t tokens, std::int64_t width, std::int64_t span, const Stream& stream) {
  launch(kSplits ? "split_qkv" : "join_qkv", move_token<T, kCount, kSplits>, blocks_for(tokens, 1),
         threads_for(3 * width / kCount, kGroupsPerThread, kMostThreads), 0, stream, fused, parts, static_cast<int>(width),
         static_cast<int>(span));
}

// One kernel serves both directions, so the const of its inputs is cast away.
template <bool kSplits>
void move_parts(ConstTensorView fused, const QkvShape& shape, ConstTensorView q, ConstTensorView k, ConstTensorView v,
                const Stream& stream) {
  check_fused_qkv(fused, shape, q, k, v);
  require(fused.cols() <= std::numeric_limits<std::int32_t>::max() / 2, "fused qkv: a row is too wide");
  const std::int64_t width = shape.width();
  const std::int64_t span = shape.layout == FusedQkv::slices ? width : shape.head_dim;
  with_float_type(fused.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = Pack<T>::kCount;
    T* whole = const_cast<T*>(floats<T>(fused));
    const Parts<T> parts = {{const_cast<T*>(floats<T>(q)), const_cast<T*>(floats<T>(k)), const_cast<T*>(floats<T>(v))}};
    const bool packs = fits_groups(span, kPack, {fused.data, q.data, k.data, v.data});
    packs ? move<T, kPack, kSplits>(whole, parts, fused.rows(), width, span, stream)
          : move<T, 1, kSplits>(whole, parts, fused.rows(), width, span, stream);
  });
}

}  // namespace

void split_qkv_cuda(ConstTensorView fused, const QkvShape& shape, TensorView q, TensorView k, TensorView v,
                    const Stream& stream) {
  move_parts<true>(fused, shape, q, k, v, stream);
}

void join_qkv_cuda(ConstTensorView q, ConstTensorView k, ConstTensorView v, const QkvShape& shape, TensorView fused,
                   const Stream& stream) {
  move_parts<false>(fused, shape, q, k, v, stream);
}

}  // namespace lora_dist
