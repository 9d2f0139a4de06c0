// A gather of base weights under way, and the time that it takes.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>

#include "src/comm/communicator.h"

namespace lora_dist {

/// Time of gathers as this rank's host sees it, in seconds; of transports that it drives itself (MPI).
struct GatherTimes {
  double under_way = 0.0;  // from the start of each gather to its end
  double waited = 0.0;     // how much of that the host spent on it: waiting, and moving bytes between operators
};

class TimedGather {
 public:
  /// PendingCollective's rules for `mine` and `all` hold.
  void start(Communicator& shards, std::span<const std::byte> mine, std::span<std::byte> all, GatherTimes& times);
  bool under_way() const { return pending_ != nullptr; }
  /// Lets it move. True when it has ended.
  bool move(GatherTimes& times);
  void wait(GatherTimes& times);
  /// Waits for a gather that nobody came for, or that was given up.
  void drop() { pending_.reset(); }

 private:
  std::unique_ptr<PendingCollective> pending_;
  std::chrono::steady_clock::time_point started_;
};

}  // namespace lora_dist
