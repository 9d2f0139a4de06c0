// The learning rate of a step: constant, linear or cosine, each after a linear warm-up. Equals transformers/optimization.py
// (get_{constant,linear,cosine}_schedule_with_warmup), to the bit.
#pragma once

#include <cstdint>

#include "src/core/choices.h"

namespace lora_dist {

/// Steps of warm-up: ratio * total_steps, rounded up.
std::int64_t warmup_steps(double ratio, std::int64_t total_steps);

/// The rate of step `step`. Steps count from 0, so with a warm-up the first step uses 0.
double learning_rate(std::int64_t step, std::int64_t total_steps, std::int64_t warmup, double base, Schedule kind);

/// The number of steps with a rate below a hundredth of `base`, which train next to nothing.
std::int64_t idle_steps(std::int64_t total_steps, std::int64_t warmup, double base, Schedule kind);

}  // namespace lora_dist
