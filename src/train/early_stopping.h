// Which evaluation was the best, and whether it is time to stop. Pure: the whole state is three numbers in the checkpoint.
#pragma once

#include <cstdint>
#include <limits>

namespace lora_dist {

/// Best and count for a metric where less is better (loss, perplexity).
struct EarlyStopping {
  double best = std::numeric_limits<double>::infinity();
  std::int64_t best_step = -1;         // -1: nothing observed yet
  std::int64_t evaluations_since = 0;  // evaluations after the best one

  bool operator==(const EarlyStopping&) const = default;
};

/// Takes in one evaluation; true when it is better than every earlier one. Equal is not better, and neither is NaN.
bool observe(EarlyStopping& state, std::int64_t step, double value);
/// True when `patience` evaluations in a row brought nothing better. A patience of 0 or less never stops.
bool should_stop(const EarlyStopping& state, std::int64_t patience);

}  // namespace lora_dist
