// One chunk of embedding or head at a time, whole, from the slices that the ranks hold: the next one is fetched while this one
// is used.
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

/// What a dry run's record (kernels/common/work_record.h) calls a fetch of a chunk, whose bytes are this rank's slice.
inline constexpr std::string_view kChunkFetch = "fetch of a chunk";

/// Which of two slots has what, and which one the next takes. Known by the address of this rank's slice, so that a tied head
/// finds what the embedding left.
struct TwoSlots {
  std::array<const std::byte*, 2> slice{};
  std::array<bool, 2> held{};

  int find(const std::byte* wanted) const { return slice[0] == wanted ? 0 : slice[1] == wanted ? 1 : -1; }
  /// Gives it the slot that is not held. Throws KernelError when both are.
  int take(const std::byte* wanted) {
    require(!held[0] || !held[1], "at most one chunk may be held while another is gathered");
    const int slot = held[0] ? 1 : 0;
    slice[static_cast<std::size_t>(slot)] = wanted;
    return slot;
  }
  /// Keeps the slot that has it from being taken, or lets it go.
  int hold(const std::byte* wanted, bool keep) {
    const int slot = find(wanted);
    held[static_cast<std::size_t>(slot)] = keep;
    return slot;
  }
};

/// The memory of both slots; empty where no table is gathered.
using TableBuffers = std::array<std::span<std::byte>, 2>;
TableBuffers take_table_buffers(const FrozenBase& base, Arena& arena);

/// All calls are collective over the ranks that divide the base, and every rank makes them in the same order, whether it has
/// something to compute or not. Where nothing is gathered they cost nothing.
class TableWindow {
 public:
  /// `compute`: the operators' stream; `gathers`: the one that `shards` follows.
  TableWindow(const TableBuffers& memory, Communicator& shards, const Stream& compute, const Stream& gathers);

  /// Starts fetching a chunk unless it is already here or on its way. The other one stays.
  void prefetch(const VocabTable& table, std::int64_t chunk);
  /// Waits for the chunk [rows, cols] and holds it until release(). On a GPU the operators' stream waits.
  ConstTensorView acquire(const VocabTable& table, std::int64_t chunk);
  /// What was launched with the chunk so far is the last that reads it.
  void release(const VocabTable& table, std::int64_t chunk);
  /// Lets gathers under way progress.
  void progress();
  /// Waits for gathers that nobody came for.
  void drop();

  const GatherTimes& gather_times() const { return times_; }

 private:
  struct Slot {
    std::span<std::byte> bytes;
    TimedGather gather;
    DeviceEvent filled;  // what the operators wait for
    DeviceEvent read;    // what the next chunk waits for
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
