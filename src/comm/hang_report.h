// Who waits for whom, from what the ranks tell of themselves. Pure: tables in, sentences out.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "src/comm/heartbeat_file.h"

namespace lora_dist {

/// A rank as another one sees it.
struct SeenRank {
  std::optional<Heartbeat> beat;  // the last that was read; none: never one
  double silent_seconds = 0.0;    // since it was written
  bool silent = false;            // for so long that the process itself must be stopped or gone
};

/// Seconds since the last sign of progress of any rank.
double idle_seconds(std::span<const SeenRank> ranks);

/// "rank 3 is silent ...; rank 1 never came: it is ...; ranks 0, 2 wait in all_reduce #1812 (adapter_gradient) for 41 s".
std::string who_waits_for_whom(std::span<const SeenRank> ranks);

}  // namespace lora_dist
