// Progress of a command that goes through a model's tensors.
#pragma once

#include <fmt/format.h>

#include <cstdint>

#include "src/core/elapsed.h"
#include "src/report/console.h"
#include "src/report/progress.h"

namespace lora_dist {

/// Prints a line per tenth, with the remaining time; none in the first `quiet_seconds`.
struct TensorProgress {
  const Console& console;
  double quiet_seconds = 0.0;
  Clock::time_point start = Clock::now();
  std::int64_t shown = 0;  // tenths

  void operator()(std::int64_t done, std::int64_t all) {
    if (const std::int64_t tenths = done * 10 / all; tenths > shown) {
      shown = tenths;
      const double seconds = seconds_since(start);
      if (seconds < quiet_seconds) {
        return;
      }
      console.line(fmt::format("{} of {} tensors, {} left", done, all,
                               human_duration(seconds / static_cast<double>(done) * static_cast<double>(all - done))));
    }
  }
};

}  // namespace lora_dist
