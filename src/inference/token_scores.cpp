// One forward pass over one sequence.
#include "src/inference/token_scores.h"

namespace lora_dist {

TokenScores score_ids(const ForwardContext& model, std::span<const std::int32_t> ids, std::span<const std::int32_t> targets) {
  const std::int64_t before = model.layout->virtual_tokens.count;
  const MicroBatch batch = one_sequence({ids.begin(), ids.end()}, {targets.begin(), targets.end()}, 0, before);
  const auto rows = static_cast<std::size_t>(batch.tokens());
  TokenScores scores{std::vector<float>(rows), std::vector<std::int32_t>(rows)};
  forward_log_probs(model, batch, scores.log_prob, scores.argmax);
  scores.log_prob.erase(scores.log_prob.begin(), scores.log_prob.begin() + before);
  scores.argmax.erase(scores.argmax.begin(), scores.argmax.begin() + before);
  return scores;
}

void serve_token_scores(const ForwardContext& model) { forward_log_probs(model, MicroBatch{}, {}, {}); }

std::vector<std::int32_t> shifted(const std::vector<std::int32_t>& list) {
  std::vector<std::int32_t> targets(list.begin() + 1, list.end());
  targets.push_back(kNotTrained);
  return targets;
}

}  // namespace lora_dist
