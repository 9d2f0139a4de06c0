// Chooses the next token, and repeats until the text ends.
#include "src/inference/generate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/common/philox.h"
#include "src/core/error.h"

namespace lora_dist {

namespace {

constexpr std::uint32_t kStreamOfSampling = 0x53414D50U;  // separates these counters from other uses of the seed

/// Candidates by falling logit, ties by rising id, cut to top_k and then to top_p.
std::vector<std::int32_t> candidates(std::span<const float> logits, const SamplingOptions& options,
                                     std::vector<double>& weights) {
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](std::int32_t a, std::int32_t b) {
    const float x = logits[static_cast<std::size_t>(a)];
    const float y = logits[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  };
  std::sort(order.begin(), order.end(), before);
  if (options.top_k > 0) {
    order.resize(std::min(order.size(), static_cast<std::size_t>(options.top_k)));
  }
  const double top = static_cast<double>(logits[static_cast<std::size_t>(order[0])]);
  weights.clear();
  double sum = 0.0;
  for (const std::int32_t id : order) {
    weights.push_back(std::exp((static_cast<double>(logits[static_cast<std::size_t>(id)]) - top) / options.temperature));
    sum += weights.back();
  }
  double reached = 0.0;
  std::size_t kept = 0;
  while (kept < order.size() && (kept == 0 || reached < options.top_p * sum)) {
    reached += weights[kept++];
  }
  order.resize(kept);
  weights.resize(kept);
  return order;
}

/// Rank 0's choice, broadcast to the other ranks, whose generation_config.json might differ.
struct Choice {
  std::int32_t id = 0;  // -1: the logits are not finite
  std::int32_t ends = 0;
};

/// Each token is penalized once, however often it occurs.
void penalize_repetition(std::span<const std::int32_t> seen, double penalty, std::span<float> logits) {
  if (penalty == 1.0) {
    return;
  }
  std::vector<std::int32_t> ids(seen.begin(), seen.end());
  std::ranges::sort(ids);
  const auto repeated = std::ranges::unique(ids);
  ids.erase(repeated.begin(), repeated.end());
  for (const std::int32_t id : ids) {
    float& logit = logits[static_cast<std::size_t>(id)];
    logit = static_cast<float>(logit < 0.0F ? logit * penalty : logit / penalty);
  }
}

/// True if a text of `before` tokens outgrows longrope's original positions: then all of its keys are rotated otherwise.
bool outgrows_rotation(const RopeConfig& rope, std::int64_t before, std::int64_t after) {
  return rope.type == "longrope" && before > 0 && before <= rope.original_positions && after > rope.original_positions;
}

}  // namespace

std::int32_t choose_token(std::span<const float> logits, const SamplingOptions& options, std::int64_t position) {
  if (options.temperature <= 0.0) {
    return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  std::vector<double> weights;
  const std::vector<std::int32_t> ids = candidates(logits, options, weights);
  const PhiloxCounter bits =
      philox4x32({static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(position >> 32), 0, kStreamOfSampling},
                 {static_cast<std::uint32_t>(options.seed), static_cast<std::uint32_t>(options.seed >> 32)});
  double left = static_cast<double>(uniform_float(bits[0])) * std::accumulate(weights.begin(), weights.end(), 0.0);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    left -= weights[i];
    if (left < 0.0) {
      return ids[i];
    }
  }
  return ids.back();
}

std::vector<std::int32_t> generate(const ForwardContext& model, std::span<const std::int32_t> prompt, KvCache& cache,
                                   const SamplingOptions& options, std::span<const std::int64_t> stop_ids, Communicator& comm,
                                   const std::function<void(std::int32_t)>& on_token) {
  cache.length = 0;
  std::vector<std::int32_t> made;
  std::vector<std::int32_t> next(prompt.begin(), prompt.end());
  std::vector<std::int32_t> seen = next;
  const auto length_after = [&] {
    return cache.length + static_cast<std::int64_t>(next.size()) + (cache.length == 0 ? model.layout->virtual_tokens.count : 0);
  };
  while (static_cast<std::int64_t>(made.size()) < options.max_new_tokens && length_after() <= cache.capacity) {
    if (outgrows_rotation(model.base->spec.rope, cache.length, length_after())) {
      next = seen;
      cache.length = 0;
    }
    std::vector<float> logits = forward_next(model, next, cache);
    const bool finite = std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); });
    penalize_repetition(seen, options.repetition_penalty, logits);
    Choice choice;
    choice.id = finite ? choose_token(logits, options, cache.length) : -1;
    choice.ends = std::find(stop_ids.begin(), stop_ids.end(), choice.id) != stop_ids.end() ? 1 : 0;
    comm.broadcast(std::as_writable_bytes(std::span(&choice, 1)), 0, WireKind::control);
    if (choice.id < 0) {
      throw Error(ExitCode::non_finite, "the model's logits are not finite; the weights or the adapter are damaged",
                  ErrorScope::collective);
    }
    if (choice.ends != 0) {
      break;
    }
    made.push_back(choice.id);
    seen.push_back(choice.id);
    if (on_token) {
      on_token(choice.id);
    }
    next.assign(1, choice.id);
  }
  return made;
}

}  // namespace lora_dist
