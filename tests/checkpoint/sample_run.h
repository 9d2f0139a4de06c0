// A small training state to save and resume.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "src/checkpoint/checkpoint.h"

namespace lora_dist {

inline CheckpointIdentity sample_identity() {
  CheckpointIdentity identity;
  identity.base_model_hash = "aaaa1111";
  identity.settings = {{"adapter.r", 2}, {"train.learning_rate", 2e-4}, {"train.seed", 42}, {"model.path", "models/x"}};
  identity.tensors = {{"model.layers.0.self_attn.q_proj.lora_A", {2, 7}, 0, 14},
                      {"model.layers.0.self_attn.q_proj.lora_B", {5, 2}, 14, 10}};
  identity.program_version = "0.0.0-test";
  return identity;
}

/// Different at every step; `params` hold values that only an exact copy keeps.
inline TrainingState sample_state(std::int64_t step) {
  TrainingState state;
  for (int i = 0; i < 24; ++i) {
    state.params.push_back(std::sin(static_cast<float>(i + 100 * step)));
    state.m.push_back(static_cast<float>(i) * 1e-30F);
    state.v.push_back(static_cast<float>(step) / static_cast<float>(i + 3));
  }
  state.params[3] = -0.0F;
  state.step = step;
  state.optimizer_step = step - 1;
  state.epoch = 2;
  state.position_in_epoch = 17;
  state.seed = 0xffffffffffffffffULL;
  state.progress = {{"best_loss", 0.1 + static_cast<double>(step)}, {"patience", 3}, {"tokens", 123456789012345}};
  return state;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  const auto x = std::as_bytes(std::span(a));
  const auto y = std::as_bytes(std::span(b));
  return std::equal(x.begin(), x.end(), y.begin(), y.end());
}

inline bool same_state(const TrainingState& a, const TrainingState& b) {
  return same_bits(a.params, b.params) && same_bits(a.m, b.m) && same_bits(a.v, b.v) && a.step == b.step &&
         a.optimizer_step == b.optimizer_step && a.epoch == b.epoch && a.position_in_epoch == b.position_in_epoch &&
         a.seed == b.seed && a.progress == b.progress;
}

}  // namespace lora_dist
