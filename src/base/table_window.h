// One whole chunk of embedding or head at a time, gathered from the ranks' slices: the next one is fetched while this one is in
// use.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/common/device.h"
#include "kernels/common/stream.h"
#include "src/base/frozen_base.h"
#include "src/base/timed_gather.h"
#include "src/core/arena.h"

namespace lora_dist {

/// A dry run's record (kernels/common/work_record.h) names a chunk's fetch so; its bytes are this rank's slice.
inline constexpr std::string_view kChunkFetch = "fetch of a chunk";

/// The content of two slots, and the slot for the next chunk. Chunks are identified by the address of this rank's slice, so that
/// a tied head finds the embedding's chunk.
struct TwoSlots {
  std::array<const std::byte*, 2> slice{};
  std::array<bool, 2> held{};

  int find(const std::byte* wanted) const { return slice[0] == wanted ? 0 : slice[1] == wanted ? 1 : -1; }
  /// Assigns the slot that is not held. Throws KernelError if both are held.
  int take(const std::byte* wanted) {
    require(!held[0] || !held[1], "at most one chunk may be held while another is gathered");
    const int slot = held[0] ? 1 : 0;
    slice[static_cast<std::size_t>(slot)] = wanted;
    return slot;
  }
  /// Holds its slot, so that it is not reassigned, or releases it.
  int hold(const std::byte* wanted, bool keep) {
    const int slot = find(wanted);
    held[static_cast<std::size_t>(slot)] = keep;
    return slot;
  }
};

/// The memory of both slots; empty if no table is gathered.
using TableBuffers = std::array<std::span<std::byte>, 2>;
TableBuffers take_table_buffers(const FrozenBase& base, Arena& arena);

/// All calls are collective over the ranks that divide the base, and every rank makes them in the same order, with or without
/// tokens. They cost nothing if nothing is gathered.
class TableWindow {
 public:
  /// `compute`: the operators' stream; `gathers`: the stream that `shards` follows.
  TableWindow(const TableBuffers& memory, Communicator& shards, const Stream& compute, const Stream& gathers);

  /// Starts fetching a chunk unless it is in a slot or in progress. Keeps the other chunk.
  void prefetch(const VocabTable& table, std::int64_t chunk);
  /// Waits for the chunk [rows, cols] and holds it until release(). On a GPU the operators' stream waits.
  ConstTensorView acquire(const VocabTable& table, std::int64_t chunk);
  /// Operators launched before this call are the last that read the chunk.
  void release(const VocabTable& table, std::int64_t chunk);
  /// Lets gathers in progress continue.
  void progress();
  /// Waits for gathers whose chunks were not used.
  void drop();
  /// As WeightWindow's.
  void begin_change();
  void end_change();

  const GatherTimes& gather_times() const { return times_; }

 private:
  struct Slot {
    std::span<std::byte> bytes;
    TimedGather gather;
    DeviceEvent filled;  // the operators wait for it
    DeviceEvent read;    // the next chunk waits for it
  };
  void move(Slot& slot);
  void finish(Slot& slot);

  Communicator& shards_;
  Stream compute_;
  Stream gathers_;
  TwoSlots which_;
  std::array<Slot, 2> slots_;
  GatherTimes times_;
};

}  // namespace lora_dist
