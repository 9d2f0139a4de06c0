// memcpy and memset in pieces.
#include "kernels/elementwise/copy.h"

#include <cstring>

#include "kernels/common/parallel.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kGrain = std::int64_t{1} << 18;  // bytes

std::int64_t bytes_of(ConstTensorView view) { return view.count() * static_cast<std::int64_t>(size_of(view.dtype)); }

}  // namespace

void copy_cpu(ConstTensorView from, TensorView to, const Stream& stream) {
  check_copy(from, to);
  const auto* source = static_cast<const std::byte*>(from.data);
  auto* target = static_cast<std::byte*>(to.data);
  parallel_ranges(bytes_of(from), kGrain, stream, [&](std::int64_t begin, std::int64_t end) {
    std::memcpy(target + begin, source + begin, static_cast<std::size_t>(end - begin));
  });
}

void zero_cpu(TensorView to, const Stream& stream) {
  auto* target = static_cast<std::byte*>(to.data);
  parallel_ranges(bytes_of(to), kGrain, stream, [&](std::int64_t begin, std::int64_t end) {
    std::memset(target + begin, 0, static_cast<std::size_t>(end - begin));
  });
}

void from_host_cpu(ConstTensorView from, TensorView to, const Stream& stream) { copy_cpu(from, to, stream); }
void to_host_cpu(ConstTensorView from, TensorView to, const Stream& stream) { copy_cpu(from, to, stream); }

}  // namespace lora_dist
