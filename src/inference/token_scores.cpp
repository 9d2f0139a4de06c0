// One forward pass over one sequence.
#include "src/inference/token_scores.h"

namespace lora_dist {

TokenScores score_ids(const ForwardContext& model, std::span<const std::int32_t> ids, std::span<const std::int32_t> targets) {
  const MicroBatch batch = one_sequence({ids.begin(), ids.end()}, {targets.begin(), targets.end()});
  TokenScores scores{std::vector<float>(ids.size()), std::vector<std::int32_t>(ids.size())};
  forward_log_probs(model, batch, scores.log_prob, scores.argmax);
  return scores;
}

void serve_token_scores(const ForwardContext& model) { forward_log_probs(model, MicroBatch{}, {}, {}); }

std::vector<std::int32_t> shifted(const std::vector<std::int32_t>& list) {
  std::vector<std::int32_t> targets(list.begin() + 1, list.end());
  targets.push_back(kNotTrained);
  return targets;
}

}  // namespace lora_dist
