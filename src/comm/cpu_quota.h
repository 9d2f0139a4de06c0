// How many CPUs a container or a batch system lets this process use: the limits of its control group (cgroup v1 and v2).
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lora_dist {

/// The limit of one group.
struct CpuLimit {
  std::string group;  // device and inode of its folder: the same from whatever container it is seen
  double cpus = 0.0;  // CPUs' worth of time per time: 1.5 for 150 ms each 100 ms
  bool operator==(const CpuLimit&) const = default;
};

/// Of the group of this process and of all groups around it, those that have a limit. `root`: where /proc and /sys are looked
/// for.
std::vector<CpuLimit> cpu_limits(const std::filesystem::path& root = "/");

/// As text, to be exchanged between ranks, and back.
std::string to_text(std::span<const CpuLimit> limits);
std::vector<CpuLimit> limits_from(const std::string& text);

/// What rank `rank` of a node may use, where each rank's limits are given: of each of its groups an equal share with the ranks
/// that are in it, the least of those. None where nothing limits it.
std::optional<double> cpu_share(std::span<const std::vector<CpuLimit>> of_ranks, int rank);

}  // namespace lora_dist
