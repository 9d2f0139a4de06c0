// The samples with the smallest random numbers become validation samples.
#include "src/data/split.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <unordered_set>

#include "src/data/random_key.h"

namespace lora_dist {

std::vector<Sample> take_validation(std::vector<Sample>& samples, double share, std::uint64_t seed) {
  const auto n = static_cast<std::int64_t>(samples.size());
  const std::int64_t wanted =
      std::clamp<std::int64_t>(std::llround(share * static_cast<double>(n)), 0, std::max<std::int64_t>(n - 1, 0));
  std::vector<std::tuple<std::uint64_t, std::int64_t>> keys;
  for (const Sample& sample : samples) {
    keys.emplace_back(random_key(seed, Draw::split, 0, static_cast<std::uint64_t>(sample.id)), sample.id);
  }
  std::sort(keys.begin(), keys.end());
  std::unordered_set<std::int64_t> chosen;
  for (std::int64_t i = 0; i < wanted; ++i) {
    chosen.insert(std::get<1>(keys[static_cast<std::size_t>(i)]));
  }
  const auto border =
      std::stable_partition(samples.begin(), samples.end(), [&](const Sample& sample) { return !chosen.contains(sample.id); });
  std::vector<Sample> validation(std::make_move_iterator(border), std::make_move_iterator(samples.end()));
  samples.erase(border, samples.end());
  return validation;
}

}  // namespace lora_dist
