// A group of neighbouring elements that one thread handles, 16 bytes or a single element, so that one kernel serves aligned and
// unaligned rows. Only for .cu files.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "kernels/common/cuda_kernel.h"

namespace lora_dist {

/// kCount elements, moved in accesses of up to 16 bytes. The address must be a multiple of the group's size, or of 16 where
/// the group is larger.
template <class T, int kCount>
struct alignas(kCount * sizeof(T) < 16 ? kCount * sizeof(T) : 16) Group {
  T v[kCount];
};
template <int kCount, class T>
__device__ Group<T, kCount> load_group(const T* from) {
  return *reinterpret_cast<const Group<T, kCount>*>(from);
}
template <class T, int kCount>
__device__ void store_group(T* to, const Group<T, kCount>& group) {
  *reinterpret_cast<Group<T, kCount>*>(to) = group;
}

/// True when rows of `width` elements at all these addresses can be handled in groups of `count`.
inline bool fits_groups(std::int64_t width, int count, std::initializer_list<const void*> addresses) {
  std::uintptr_t bits = 0;
  for (const void* address : addresses) {
    bits |= reinterpret_cast<std::uintptr_t>(address);
  }
  return bits % 16 == 0 && width % count == 0;
}

/// Threads of a block that shares `items`, about `per_thread` each: whole warps, at least one and at most `most` threads.
inline unsigned threads_for(std::int64_t items, std::int64_t per_thread, std::int64_t most) {
  const std::int64_t warps = (items + per_thread * kWarp - 1) / (per_thread * kWarp);
  return static_cast<unsigned>(std::clamp<std::int64_t>(warps * kWarp, kWarp, most));
}

}  // namespace lora_dist
