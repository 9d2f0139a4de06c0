// Copies and zeros in stream order.
#include "kernels/elementwise/copy.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>

#include "kernels/common/cuda_context.h"
#include "kernels/common/device.h"

namespace lora_dist {

namespace {

std::size_t bytes_of(const ConstTensorView& view) { return static_cast<std::size_t>(view.count()) * size_of(view.dtype); }

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
constexpr std::size_t kPieces = 16;  // more than two micro-batches use for ids and the like: staging does not wait for copies

// A ring of pinned staging buffers for copies to the device. The run time also stages pageable memory, but on some machines the
// GPU reads it directly and late, and on others the call blocks inside CUDA.
struct PinnedRing final : CudaExtension {
  PinnedRing() : memory(static_cast<std::byte*>(allocate_pinned(kPieces * kPieceBytes))) {}
  ~PinnedRing() override { free_pinned(memory); }

  std::byte* memory;
  std::array<DeviceEvent, kPieces> copied;
  std::size_t next = 0;
};

PinnedRing& ring_of(const Stream& stream) {
  CudaContext& context = cuda_context(stream);
  if (!context.from_host) {
    context.from_host = std::make_unique<PinnedRing>();
  }
  return static_cast<PinnedRing&>(*context.from_host);
}

}  // namespace

void copy_cuda(ConstTensorView from, TensorView to, const Stream& stream) {
  check_copy(from, to);
  copy_bytes(to.data, from.data, bytes_of(from), stream);
}

void zero_cuda(TensorView to, const Stream& stream) {
  if (to.count() > 0) {
    check_cuda(cudaMemsetAsync(to.data, 0, bytes_of(to), cuda_context(stream).stream), "filling with zeros");
  }
}

void from_host_cuda(ConstTensorView from, TensorView to, const Stream& stream) {
  check_copy(from, to);
  const auto* source = static_cast<const std::byte*>(from.data);
  auto* target = static_cast<std::byte*>(to.data);
  const std::size_t bytes = bytes_of(from);
  PinnedRing& ring = ring_of(stream);
  for (std::size_t at = 0; at < bytes; at += kPieceBytes) {
    const std::size_t piece = std::exchange(ring.next, (ring.next + 1) % kPieces);
    const std::size_t length = std::min(kPieceBytes, bytes - at);
    std::byte* pinned = ring.memory + piece * kPieceBytes;
    ring.copied[piece].wait(stream);
    std::memcpy(pinned, source + at, length);
    copy_bytes(target + at, pinned, length, stream);
    ring.copied[piece].record(stream);
  }
}

void to_host_cuda(ConstTensorView from, TensorView to, const Stream& stream) {
  synchronize(stream);  // first: a copy to pageable memory may block inside CUDA, where a lost rank goes unnoticed
  copy_cuda(from, to, stream);
  synchronize(stream);
}

}  // namespace lora_dist
