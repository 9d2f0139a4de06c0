// Sorts by random numbers, since std::shuffle differs between libraries.
#include "src/data/sampler.h"

#include <algorithm>
#include <numeric>

#include "kernels/common/check.h"
#include "src/data/random_key.h"

namespace lora_dist {

std::vector<std::int32_t> epoch_order(std::uint64_t seed, std::int64_t epoch, std::int64_t count, bool shuffle) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  if (!shuffle) {
    return order;
  }
  std::vector<std::uint64_t> keys(order.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    keys[i] = random_key(seed, Draw::order, static_cast<std::uint32_t>(epoch), i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return keys[static_cast<std::size_t>(a)] < keys[static_cast<std::size_t>(b)];
  });
  return order;
}

std::int64_t steps_per_epoch(std::int64_t count, std::int64_t global_batch) {
  require(count > 0 && global_batch > 0, "steps_per_epoch needs sequences and a global batch");
  return (count + global_batch - 1) / global_batch;
}

Cursor cursor_at(std::int64_t step, std::int64_t count, std::int64_t global_batch) {
  const std::int64_t steps = steps_per_epoch(count, global_batch);
  return {step / steps, step % steps * global_batch};
}

std::span<const std::int32_t> global_batch_at(std::span<const std::int32_t> order, const Cursor& cursor,
                                              std::int64_t global_batch) {
  const auto begin = static_cast<std::size_t>(cursor.position);
  require(begin < order.size(), "the cursor is beyond its epoch");
  return order.subspan(begin, std::min(static_cast<std::size_t>(global_batch), order.size() - begin));
}

}  // namespace lora_dist
