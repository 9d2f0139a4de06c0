// A pending gather of base weights, with its duration.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>

#include "src/comm/communicator.h"

namespace lora_dist {

/// Host time of gathers, in seconds; only for transports that the host drives (MPI).
struct GatherTimes {
  double under_way = 0.0;  // from start to end of each gather
  double waited = 0.0;     // host time in it: waiting, and progress between operators
};

class TimedGather {
 public:
  /// `mine` and `all` as in PendingCollective.
  void start(Communicator& shards, std::span<const std::byte> mine, std::span<std::byte> all, GatherTimes& times);
  bool under_way() const { return pending_ != nullptr; }
  /// Makes progress. True if it is complete.
  bool move(GatherTimes& times);
  /// Throws why it failed; then it is no longer under way.
  void wait(GatherTimes& times);
  /// Waits for a gather under way, where there is one, and does not say how it ended: for destructors.
  void drop() { pending_.reset(); }

 private:
  std::unique_ptr<PendingCollective> pending_;
  std::chrono::steady_clock::time_point started_;
};

}  // namespace lora_dist
