// One block's weights at a time, whole, from the slices that the ranks hold: block l+1 is fetched while block l computes.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "kernels/common/device.h"
#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"
#include "src/comm/communicator.h"
#include "src/core/arena.h"
#include "src/model/frozen_shard.h"

namespace lora_dist {

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
};
/// Takes it from the arena, for operators of `backend`.
WindowBuffers take_window_buffers(const FrozenBase& base, Arena& arena, Backend backend, DType compute_dtype);

/// Time of gathers as this rank's host sees it, in seconds; of transports that it drives itself (MPI).
struct GatherTimes {
  double under_way = 0.0;  // from the start of each gather to its end
  double waited = 0.0;     // how much of that the host spent on it: waiting, and moving bytes between operators
};

/// Two slots that take turns. All calls are collective over the shard group and every rank makes them in the same order, so a
/// rank that has nothing to compute calls serve() and keeps the others going.
///
/// On the CPU a slot holds a gathered block's bytes; with one shard there is nothing to hold, copy or send. On a GPU a slot also
/// holds the block dequantized, once for all that a visit computes with it. There a stream of the window's own copies slices that
/// lie on the host, waits for gathers and dequantizes, beside the operators' stream; the two meet at events alone.
class WeightWindow {
 public:
  /// `compute`: the operators' stream; `shards` follows the window's stream from then on. `compute_dtype`: of dequantized blocks.
  WeightWindow(const FrozenBase& base, Communicator& shards, Arena& arena, const Stream& compute, DType compute_dtype);
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
  /// Lets a gather under way move, and what waits for it go on; called between operators.
  void poke();

  /// Of all gathers that have ended.
  const GatherTimes& gather_times() const { return times_; }

  /// acquire, prefetch of `next` (-1: none) and release without computing.
  void serve(std::int64_t layer, std::int64_t next);

 private:
  struct Slot {
    std::int64_t layer = -1;
    std::span<std::byte> bytes;  // of the block, whole; empty where the base lies whole where operators run
    std::span<std::byte> dense;  // its weights end to end in the compute dtype; empty where nothing is dequantized ahead
    std::unique_ptr<PendingGather> pending;
    std::chrono::steady_clock::time_point started;  // of the gather
    bool ready = true;                              // the weights are there in the order of the window's stream
    bool held = false;                              // between acquire() and release()
    DeviceEvent filled;                             // what the operators wait for
    DeviceEvent read;                               // what the next block waits for
  };
  Slot* find(std::int64_t layer);
  void fetch(Slot& slot);
  bool move(Slot& slot);
  void finish(Slot& slot);
  BlockWeights weights_of(std::int64_t layer, const Slot& slot) const;

  const FrozenBase& base_;
  Communicator& shards_;
  DType compute_dtype_;
  Stream compute_;
  Stream stream_;            // the window's own on a GPU
  bool in_place_ = false;    // the operators read the slices where they lie
  bool one_window_ = false;  // both slots gather into the same bytes
  std::span<float> absmax_;  // block scales of the weight being dequantized ahead
  std::array<Slot, 2> slots_;
  GatherTimes times_;
  int exceptions_;  // under way when the window was made
};

/// The weight [out, in] in the dtype of `weight_scratch`: where it lies when it has that already, else written there (at least
/// out * in elements). `absmax_scratch` needs FrozenBase::most_scales() floats.
ConstTensorView dequantize(const FrozenWeight& weight, const TensorView& weight_scratch, std::span<float> absmax_scratch,
                           const Stream& stream);

}  // namespace lora_dist
