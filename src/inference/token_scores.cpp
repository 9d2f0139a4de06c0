// One forward pass over one sequence.
#include "src/inference/token_scores.h"

#include <array>
#include <numeric>

#include "kernels/common/not_trained.h"

namespace lora_dist {

TokenScores score_ids(const Transformer& model, std::span<const std::int32_t> ids, std::span<const std::int32_t> targets) {
  std::vector<std::int32_t> positions(ids.size());
  std::iota(positions.begin(), positions.end(), 0);
  const std::vector<std::int32_t> samples(ids.size(), 0);
  const std::array<std::int32_t, 2> starts = {0, static_cast<std::int32_t>(ids.size())};
  TokenScores scores{std::vector<float>(ids.size()), std::vector<std::int32_t>(ids.size())};
  forward_log_probs(model, {ids, targets, positions, samples, starts}, scores.log_prob, scores.argmax);
  return scores;
}

void serve_token_scores(const Transformer& model) { forward_log_probs(model, Pass{}, {}, {}); }

std::vector<std::int32_t> shifted(const std::vector<std::int32_t>& list) {
  std::vector<std::int32_t> targets(list.begin() + 1, list.end());
  targets.push_back(kNotTrained);
  return targets;
}

}  // namespace lora_dist
