// One block's weights at a time, whole, from the slices that the ranks hold: block l+1 is fetched while block l computes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/common/device.h"
#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"
#include "src/base/frozen_base.h"
#include "src/base/table_window.h"
#include "src/base/timed_gather.h"
#include "src/comm/communicator.h"
#include "src/core/arena.h"

namespace lora_dist {

/// What a dry run's record (kernels/common/work_record.h) calls a fetch of a block, whose bytes are this rank's slice, and the
/// part in which a window dequantizes ahead.
inline constexpr std::string_view kBlockFetch = "fetch of a block";
inline constexpr std::string_view kDequantizing = "dequantizing";

/// A whole weight as it lies in a window.
struct FrozenWeight {
  const WeightLayout* layout = nullptr;
  const std::byte* block = nullptr;  // first byte of the gathered block
  float nested_offset = 0.0F;
  TensorView dense;  // [out, in] in the compute dtype, where the window has it; else null
};

/// A block's weights in the order of Linear, valid until release(); those that the family does not have are empty.
using BlockWeights = std::array<FrozenWeight, kLinears>;

/// The memory of a window, by slot.
struct WindowBuffers {
  bool in_place = false;    // none: the operators read the slices where they lie
  bool one_window = false;  // both slots gather into the same bytes
  std::array<std::span<std::byte>, 2> bytes;
  std::array<std::span<std::byte>, 2> dense;
  std::span<float> absmax;  // block scales of the weight being dequantized ahead
  TableBuffers tables;
};
/// Whether a window dequantizes a whole block once, ahead of its use: on a GPU, and where several micro-batches compute with it
/// each time it is there. Otherwise each product of a CPU dequantizes its weight.
constexpr bool dequantizes_ahead(Backend backend, std::int64_t micro_batches_in_flight) {
  return backend == Backend::cuda || micro_batches_in_flight > 1;
}
/// Takes it from the arena. `ahead`: dequantizes_ahead().
WindowBuffers take_window_buffers(const FrozenBase& base, Arena& arena, bool ahead, DType compute_dtype);

/// Two slots that take turns. All calls are collective over the shard group and every rank makes them in the same order, so a
/// rank that has nothing to compute calls serve() and keeps the others going.
///
/// A slot holds a gathered block's bytes and, where the window dequantizes ahead, the block dequantized, once for all that a
/// visit computes with it; with one shard on a CPU there is nothing to hold, copy or send. On a GPU a stream of the window's own
/// copies slices that lie on the host, waits for gathers and dequantizes, beside the operators' stream; the two meet at events
/// alone.
class WeightWindow {
 public:
  /// `compute`: the operators' stream; `shards` follows the window's stream from then on. `compute_dtype`: of dequantized blocks.
  WeightWindow(const FrozenBase& base, Communicator& shards, Arena& arena, const Stream& compute, DType compute_dtype,
               std::int64_t micro_batches_in_flight = 1);
  WeightWindow(const WeightWindow&) = delete;
  WeightWindow& operator=(const WeightWindow&) = delete;
  /// While an exception leaves the window's scope, `shards` is given up first: a gather under way may never end.
  ~WeightWindow();

  /// Starts fetching a block unless it is already here or on its way. The other block stays.
  void prefetch(std::int64_t layer);
  /// Waits for the block and holds it until release(). On a GPU the operators' stream waits, not the host (but for MPI).
  BlockWeights acquire(std::int64_t layer);
  /// What was launched with the block so far is the last that reads it.
  void release(std::int64_t layer);
  /// Lets a gather under way progress, and what waits for it go on; called between operators.
  void progress();

  /// The chunks of embedding and head, gathered on the same stream.
  TableWindow& tables() { return tables_; }

  /// Of all gathers that have ended, those of chunks too.
  GatherTimes gather_times() const;
  /// Blocks that were dequantized ahead so far.
  std::int64_t blocks_dequantized() const { return blocks_dequantized_; }

  /// acquire, prefetch of `next` (-1: none) and release without computing.
  void serve(std::int64_t layer, std::int64_t next);

 private:
  struct Slot {
    std::int64_t layer = -1;
    std::span<std::byte> bytes;  // of the block, whole; empty where the base lies whole where operators run
    std::span<std::byte> dense;  // its weights end to end in the compute dtype; empty where nothing is dequantized ahead
    TimedGather gather;
    bool ready = true;   // the weights are there in the order of the window's stream
    bool held = false;   // between acquire() and release()
    DeviceEvent filled;  // what the operators wait for
    DeviceEvent read;    // what the next block waits for
  };
  Slot* find(std::int64_t layer);
  void fetch(Slot& slot);
  void finish(Slot& slot);
  BlockWeights weights_of(std::int64_t layer, const Slot& slot) const;

  const FrozenBase& base_;
  Communicator& shards_;
  DType compute_dtype_;
  Stream compute_;
  WindowBuffers memory_;
  Stream stream_;  // the window's own on a GPU
  std::array<Slot, 2> slots_;
  GatherTimes times_;
  std::int64_t blocks_dequantized_ = 0;
  TableWindow tables_;
  int exceptions_;  // under way when the window was made
};

/// The weight [out, in] in the dtype of `weight_scratch`: where it lies when it has that already, else written there (at least
/// out * in elements). `absmax_scratch` needs FrozenBase::most_scales() floats.
ConstTensorView dequantize(const FrozenWeight& weight, const TensorView& weight_scratch, std::span<float> absmax_scratch,
                           const Stream& stream);

}  // namespace lora_dist
