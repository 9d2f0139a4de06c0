// Learning rate schedules.
#include "src/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lora_dist {

std::int64_t warmup_steps(double ratio, std::int64_t total_steps) {
  return static_cast<std::int64_t>(std::ceil(static_cast<double>(total_steps) * ratio));
}

double learning_rate(std::int64_t step, std::int64_t total_steps, std::int64_t warmup, double base, Schedule kind) {
  if (step < warmup) {
    return base * (static_cast<double>(step) / static_cast<double>(std::max<std::int64_t>(1, warmup)));
  }
  const auto after_warmup = static_cast<double>(std::max<std::int64_t>(1, total_steps - warmup));
  switch (kind) {
    case Schedule::constant:
      return base;
    case Schedule::linear:
      return base * std::max(0.0, static_cast<double>(total_steps - step) / after_warmup);
    case Schedule::cosine: {
      const double progress = static_cast<double>(step - warmup) / after_warmup;
      return base * std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
    }
  }
  return base;
}

std::int64_t idle_steps(std::int64_t total_steps, std::int64_t warmup, double base, Schedule kind) {
  std::int64_t idle = 0;
  for (std::int64_t step = 0; step < total_steps; ++step) {
    idle += learning_rate(step, total_steps, warmup, base, kind) < 0.01 * base ? 1 : 0;
  }
  return idle;
}

}  // namespace lora_dist
