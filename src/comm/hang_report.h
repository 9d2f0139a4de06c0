// Describes which ranks wait for which, from their heartbeats. A pure function from tables to sentences.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "src/comm/heartbeat_file.h"

namespace lora_dist {

/// A rank's state as another rank sees it.
struct SeenRank {
  std::optional<Heartbeat> heartbeat;  // the last one read; nullopt: none yet
  double silent_seconds = 0.0;         // since it was written
  bool silent = false;                 // so long that the process must be stopped or dead
};

/// Seconds since any rank's last progress.
double idle_seconds(std::span<const SeenRank> ranks);

/// "rank 3 is silent ...; rank 1 never came: it is ...; ranks 0, 2 wait in all_reduce #1812 (adapter_gradient) for 41 s".
std::string who_waits_for_whom(std::span<const SeenRank> ranks);

}  // namespace lora_dist
