// One block's whole weights at a time, gathered from the ranks' slices: block l+1 is fetched while block l computes.
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

/// Names in a dry run's record (kernels/common/work_record.h): a block's fetch, whose bytes are this rank's slice, and the part
/// in which a window dequantizes ahead.
inline constexpr std::string_view kBlockFetch = "fetch of a block";
inline constexpr std::string_view kDequantizing = "dequantizing";

/// A whole weight in a window.
struct FrozenWeight {
  const WeightLayout* layout = nullptr;
  const std::byte* block = nullptr;  // first byte of the gathered block
  float nested_offset = 0.0F;
  TensorView dense;  // [out, in] in the compute dtype, if the window has it; else null
};

/// A block's weights in the order of Linear, valid until release(); empty for linears that the family lacks.
using BlockWeights = std::array<FrozenWeight, kLinears>;

/// The memory of a window, per slot.
struct WindowBuffers {
  bool in_place = false;    // no memory: the operators read the slices in place
  bool one_window = false;  // both slots gather into the same bytes
  std::array<std::span<std::byte>, 2> bytes;
  std::array<std::span<std::byte>, 2> dense;
  std::span<float> absmax;  // block scales of the weight being dequantized ahead
  TableBuffers tables;
};
/// True if a window dequantizes a whole block once, ahead of its use: on a GPU, and if several micro-batches compute with each
/// fetched block. Otherwise each product on a CPU dequantizes its weight.
constexpr bool dequantizes_ahead(Backend backend, std::int64_t micro_batches_in_flight) {
  return backend == Backend::cuda || micro_batches_in_flight > 1;
}
/// Takes the memory from the arena. `ahead`: dequantizes_ahead().
WindowBuffers take_window_buffers(const FrozenBase& base, Arena& arena, bool ahead, DType compute_dtype);

/// Two slots used in turn. All calls are collective over the shard group, and every rank makes them in the same order: a rank
/// without tokens calls serve(), so that the others can continue.
///
/// A slot holds a gathered block's bytes and, if the window dequantizes ahead, the dequantized block, once per visit; with one
/// shard on a CPU there is nothing to hold, copy or send. On a GPU the window's own stream copies slices from the host, waits for
/// gathers and dequantizes, in parallel with the operators' stream; the streams synchronize only by events.
class WeightWindow {
 public:
  /// `compute`: the operators' stream; `shards` follows the window's stream afterwards. `compute_dtype`: of dequantized blocks.
  WeightWindow(const FrozenBase& base, Communicator& shards, Arena& arena, const Stream& compute, DType compute_dtype,
               std::int64_t micro_batches_in_flight = 1);
  WeightWindow(const WeightWindow&) = delete;
  WeightWindow& operator=(const WeightWindow&) = delete;
  /// During an exception, gives up `shards` first: a gather in progress may never end.
  ~WeightWindow();

  /// Starts fetching a block unless it is in a slot or in progress. Keeps the other block.
  void prefetch(std::int64_t layer);
  /// Waits for the block and holds it until release(). On a GPU the operators' stream waits, not the host (except with MPI).
  BlockWeights acquire(std::int64_t layer);
  /// Operators launched before this call are the last that read the block.
  void release(std::int64_t layer);
  /// Lets a gather in progress continue, and then the work that depends on it; called between operators.
  void progress();

  /// Around a change of the base's slices: what the slots hold is fetched again. The first waits for gathers under way.
  void begin_change();
  void end_change();

  /// The chunks of embedding and head, gathered on the same stream.
  TableWindow& tables() { return tables_; }

  /// The times of all completed gathers, including those of chunks.
  GatherTimes gather_times() const;
  /// Blocks dequantized ahead so far.
  std::int64_t blocks_dequantized() const { return blocks_dequantized_; }

  /// acquire, prefetch of `next` (-1: none) and release without computing.
  void serve(std::int64_t layer, std::int64_t next);

 private:
  struct Slot {
    std::int64_t layer = -1;
    std::span<std::byte> bytes;  // of the whole block; empty if the operators' memory holds the whole base
    std::span<std::byte> dense;  // its weights in the compute dtype, contiguous; empty without dequantization ahead
    TimedGather gather;
    bool ready = true;   // the weights are ready in the window's stream order
    bool held = false;   // between acquire() and release()
    DeviceEvent filled;  // the operators wait for it
    DeviceEvent read;    // the next block waits for it
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
  int exceptions_;  // in progress when the window was made
};

/// The weight [out, in] in the dtype of `weight_scratch`: in place if it has that dtype, else written to `weight_scratch` (at
/// least out * in elements). `absmax_scratch` needs FrozenBase::most_scales() floats.
ConstTensorView dequantize(const FrozenWeight& weight, const TensorView& weight_scratch, std::span<float> absmax_scratch,
                           const Stream& stream);

}  // namespace lora_dist
