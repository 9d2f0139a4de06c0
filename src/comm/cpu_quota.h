// The number of CPUs that a container or a batch system grants this process: its control group's limits (cgroup v1 and v2).
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lora_dist {

/// The limit of one group.
struct CpuLimit {
  std::string group;  // device and inode of its folder: the same from every container
  double cpus = 0.0;  // CPU time per time: 1.5 for 150 ms per 100 ms
  bool operator==(const CpuLimit&) const = default;
};

/// The limits of this process's group and of all enclosing groups. `root`: the parent of /proc and /sys.
std::vector<CpuLimit> cpu_limits(const std::filesystem::path& root = "/");

/// Converts to text, for exchange between ranks, and back.
std::string to_text(std::span<const CpuLimit> limits);
std::vector<CpuLimit> limits_from(const std::string& text);

/// The CPUs of rank `rank` of a node, from each rank's limits: the smallest of its groups' limits, each divided by the number of
/// ranks in the group. Empty without a limit.
std::optional<double> cpu_share(std::span<const std::vector<CpuLimit>> of_ranks, int rank);

}  // namespace lora_dist
