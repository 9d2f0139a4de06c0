// Gathers and compares digests of the adapters.
#include "src/train/compare_replicas.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <vector>

#include "kernels/elementwise/copy.h"
#include "src/comm/watched.h"
#include "src/core/activity.h"

namespace lora_dist {

namespace {

/// One round of a multiplicative hash; bijective in `hash` and in `word`, so that different words give different results.
std::uint64_t mixed(std::uint64_t hash, std::uint64_t word) {
  constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15U;  // 2^64 over the golden ratio
  return std::rotl((hash ^ word) * kOdd, 29);
}

}  // namespace

std::uint64_t quick_digest(std::span<const float> values, std::uint64_t seed) {
  std::array<std::uint64_t, 4> lanes = {seed, seed + 1, seed + 2, seed + 3};  // for parallel execution in the processor
  std::size_t i = 0;
  for (; i + 4 <= values.size(); i += 4) {
    for (std::size_t lane = 0; lane < 4; ++lane) {
      lanes[lane] = mixed(lanes[lane], std::bit_cast<std::uint32_t>(values[i + lane]));
    }
  }
  for (; i < values.size(); ++i) {
    lanes[0] = mixed(lanes[0], std::bit_cast<std::uint32_t>(values[i]));
  }
  std::uint64_t digest = values.size();
  for (const std::uint64_t lane : lanes) {
    digest = mixed(digest, lane);
  }
  return digest;
}

std::string difference_text(std::span<const std::uint64_t> digests) {
  std::map<std::uint64_t, std::vector<std::int64_t>> holders;
  for (std::size_t rank = 0; rank < digests.size(); ++rank) {
    holders[digests[rank]].push_back(static_cast<std::int64_t>(rank));
  }
  if (holders.size() <= 1) {
    return {};
  }
  std::vector<std::vector<std::int64_t>> groups;
  for (const auto& [digest, ranks] : holders) {
    groups.push_back(ranks);
  }
  // The largest group first; of equal ones the group with the lowest rank.
  std::sort(groups.begin(), groups.end(), [](const auto& one, const auto& other) {
    return one.size() != other.size() ? one.size() > other.size() : one.front() < other.front();
  });
  std::vector<std::string> others;
  for (std::size_t i = 1; i < groups.size(); ++i) {
    others.push_back(named_ranks(groups[i]));
  }
  const bool one = groups.size() == 2 && groups[1].size() == 1;
  return fmt::format("{} hold{} another adapter than {}", fmt::join(others, " and "), one ? "s" : "",
                     named_ranks(groups.front()));
}

std::string replica_difference(const TrainingRun& run) {
  const AtWork here("comparing the ranks' adapters");
  std::uint64_t mine = 0;
  std::vector<float> copy;
  for (const std::span<float> buffer :
       {run.buffers.params, run.buffers.m, run.buffers.v, run.buffers.method.sensitivity, run.buffers.method.uncertainty}) {
    if (buffer.empty()) {
      continue;
    }
    std::span<const float> values = buffer;
    if (run.device->on_device()) {
      copy.resize(buffer.size());
      to_host(view(values), view(std::span(copy)), run.model->stream);
      values = copy;
    }
    mine = quick_digest(values, mine);
    heartbeat();
  }
  std::vector<std::uint64_t> all(static_cast<std::size_t>(run.world->size()));
  run.world->all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)), WireKind::control);
  return difference_text(all);
}

}  // namespace lora_dist
