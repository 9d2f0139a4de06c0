// The sequences of a step, as pure functions of (seed, step), so that a run resumes exactly on any number of ranks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lora_dist {

/// The start of a step.
struct Cursor {
  std::int64_t epoch = 0;
  std::int64_t position = 0;  // in the epoch's order
  bool operator==(const Cursor&) const = default;
};

/// The order of `count` sequences in an epoch: 0, 1, 2 ... without shuffle, else by a Philox number of (seed, epoch, index).
std::vector<std::int32_t> epoch_order(std::uint64_t seed, std::int64_t epoch, std::int64_t count, bool shuffle);

/// Steps of one epoch: count / global_batch, rounded up.
std::int64_t steps_per_epoch(std::int64_t count, std::int64_t global_batch);

/// Step 0 begins at {0, 0}. A step never crosses from one epoch into the next.
Cursor cursor_at(std::int64_t step, std::int64_t count, std::int64_t global_batch);

/// The step's share of its epoch's order: global_batch sequences, fewer in the epoch's last step.
std::span<const std::int32_t> global_batch_at(std::span<const std::int32_t> order, const Cursor& cursor,
                                              std::int64_t global_batch);

}  // namespace lora_dist
