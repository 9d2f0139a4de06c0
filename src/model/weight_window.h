// One block's weights at a time, whole, from the parts that the ranks hold: block l+1 is gathered while block l computes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"
#include "src/comm/communicator.h"
#include "src/core/arena.h"
#include "src/model/frozen_shard.h"

namespace lora_dist {

/// A whole weight as it lies in a window.
struct FrozenWeight {
  const WeightLayout* layout = nullptr;
  const BaseFormat* format = nullptr;
  const std::byte* block = nullptr;  // first byte of the gathered block
  float nested_offset = 0.0F;
};

/// A block's seven weights, valid until release().
using BlockWeights = std::array<FrozenWeight, kLinears>;

/// Two buffers that take turns. All calls are collective over the shard group and every rank makes them in the same order, so a
/// rank that has nothing to compute calls serve() and keeps the others going. With one shard nothing is copied or sent.
class WeightWindow {
 public:
  WeightWindow(const FrozenBase& base, Communicator& shards, Arena& arena);

  /// Starts gathering a block unless it is already here or on its way. The other block stays.
  void prefetch(std::int64_t layer);
  /// Waits for the block and holds it until release().
  BlockWeights acquire(std::int64_t layer);
  void release(std::int64_t layer);
  /// Lets a gather under way move; called between operators.
  void poke();

  /// acquire, prefetch of `next` (-1: none) and release without computing.
  void serve(std::int64_t layer, std::int64_t next);

  double waited_seconds() const { return waited_seconds_; }  // time spent in acquire()

 private:
  struct Slot {
    std::int64_t layer = -1;
    std::span<std::byte> bytes;
    std::unique_ptr<PendingGather> pending;
    bool held = false;
  };
  Slot* find(std::int64_t layer);

  const FrozenBase& base_;
  Communicator& shards_;
  std::array<Slot, 2> slots_;
  double waited_seconds_ = 0.0;
};

/// The weight [out, in] in the dtype of `weight_scratch`: where it lies when it has that already, else written there (at least
/// out
/// * in elements). `absmax_scratch` needs a float for each quantization block.
ConstTensorView dequantize(const FrozenWeight& weight, const TensorView& weight_scratch, std::span<float> absmax_scratch,
                           const Stream& stream);

}  // namespace lora_dist
