// Early stopping.
#include "src/train/early_stopping.h"

namespace lora_dist {

bool observe(EarlyStopping& state, std::int64_t step, double value) {
  if (value < state.best) {
    state = {.best = value, .best_step = step, .evaluations_since = 0};
    return true;
  }
  ++state.evaluations_since;
  return false;
}

bool should_stop(const EarlyStopping& state, std::int64_t patience) {
  return patience > 0 && state.evaluations_since >= patience;
}

}  // namespace lora_dist
