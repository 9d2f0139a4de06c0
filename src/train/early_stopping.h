// Tracks the best evaluation and decides when to stop. Pure: the whole state is three numbers in the checkpoint.
#pragma once

#include <cstdint>
#include <limits>

namespace lora_dist {

/// Best value and count for a metric that improves downwards (loss, perplexity).
struct EarlyStopping {
  double best = std::numeric_limits<double>::infinity();
  std::int64_t best_step = -1;         // -1: nothing observed yet
  std::int64_t evaluations_since = 0;  // evaluations after the best one

  bool operator==(const EarlyStopping&) const = default;
};

/// Adds one evaluation; true if it is better than all earlier ones. Equal values and NaN are not better.
bool observe(EarlyStopping& state, std::int64_t step, double value);
/// True if the last `patience` evaluations brought no improvement. A patience of 0 or less never stops.
bool should_stop(const EarlyStopping& state, std::int64_t patience);

}  // namespace lora_dist
