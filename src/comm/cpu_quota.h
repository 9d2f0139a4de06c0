// How many CPUs a container or a batch system lets this process use: the limits of its control group (cgroup v1 and v2).
#pragma once

#include <filesystem>
#include <optional>

namespace lora_dist {

/// CPUs' worth of time per time, of the group of this process and of all groups around it, the least of them: 1.5 for 150 ms each
/// 100 ms. None where nothing limits it. `root`: where /proc and /sys are looked for.
std::optional<double> cpu_quota(const std::filesystem::path& root = "/");

}  // namespace lora_dist
