// The CUDA side of split_parts and join_parts: a block per token; a thread moves groups of neighbouring elements, in the order of
// the fused row.
#include <limits>

#include "kernels/common/cuda_group.h"
#include "kernels/fused_parts/fused_parts.h"

namespace lora_dist {
namespace {

constexpr int kMostThreads = 256;
constexpr int kGroupsPerThread = 4;

template <class T>
struct PartPointers {
  T* data[kMostFusedParts];    // [tokens, groups * span]
  int begin[kMostFusedParts];  // of its span in a group; the group's width for a part that is not there
  int span[kMostFusedParts];
  int groups;
  int group_width;
};

template <class T, int kCount, bool kSplits>
__global__ void move_token(T* fused, PartPointers<T> parts) {
  const int width = parts.groups * parts.group_width;
  T* row = fused + static_cast<std::int64_t>(blockIdx.x) * width;
  for (int at = static_cast<int>(threadIdx.x) * kCount; at < width; at += static_cast<int>(blockDim.x) * kCount) {
    const int group = at / parts.group_width;
    const int in_group = at - group * parts.group_width;
    const int part = in_group >= parts.begin[2] ? 2 : (in_group >= parts.begin[1] ? 1 : 0);
    const int span = parts.span[part];
    T* side =
        parts.data[part] + (static_cast<std::int64_t>(blockIdx.x) * parts.groups + group) * span + (in_group - parts.begin[part]);
    if constexpr (kSplits) {
      store_group(side, load_group<kCount>(static_cast<const T*>(row + at)));
    } else {
      store_group(row + at, load_group<kCount>(static_cast<const T*>(side)));
    }
  }
}

template <class T, int kCount, bool kSplits>
void move(T* fused, const PartPointers<T>& parts, std::int64_t tokens, const Stream& stream) {
  const std::int64_t width = static_cast<std::int64_t>(parts.groups) * parts.group_width;
  launch(kSplits ? "split_parts" : "join_parts", move_token<T, kCount, kSplits>, blocks_for(tokens, 1),
         threads_for(width / kCount, kGroupsPerThread, kMostThreads), 0, stream, fused, parts);
}

// One kernel serves both directions, so the const of its inputs is cast away.
template <bool kSplits, class View>
void move_parts(ConstTensorView fused, std::int64_t groups, const FusedParts<View>& views, const Stream& stream) {
  const auto spans = check_fused_parts(fused, groups, views);
  require(fused.cols() <= std::numeric_limits<std::int32_t>::max() / 2, "fused parts: a row is too wide");
  with_float_type(fused.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = Pack<T>::kCount;
    PartPointers<T> parts = {};
    parts.groups = static_cast<int>(groups);
    parts.group_width = static_cast<int>(fused.cols() / groups);
    bool packs = true;
    for (std::size_t i = 0; i < views.size(); ++i) {
      const bool there = views[i].data != nullptr;
      parts.data[i] = there ? const_cast<T*>(floats<T>(static_cast<ConstTensorView>(views[i]))) : nullptr;
      parts.begin[i] = there ? static_cast<int>(spans[i].begin) : parts.group_width;
      parts.span[i] = static_cast<int>(spans[i].width);
      packs = packs && (!there || fits_groups(spans[i].width, kPack, {fused.data, views[i].data}));
    }
    T* whole = const_cast<T*>(floats<T>(fused));
    packs ? move<T, kPack, kSplits>(whole, parts, fused.rows(), stream) : move<T, 1, kSplits>(whole, parts, fused.rows(), stream);
  });
}

}  // namespace

void split_parts_cuda(ConstTensorView fused, std::int64_t groups, const FusedParts<TensorView>& parts, const Stream& stream) {
  move_parts<true>(fused, groups, parts, stream);
}

void join_parts_cuda(const FusedParts<ConstTensorView>& parts, std::int64_t groups, TensorView fused, const Stream& stream) {
  move_parts<false>(fused, groups, parts, stream);
}

}  // namespace lora_dist
