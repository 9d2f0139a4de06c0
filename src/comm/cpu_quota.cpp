// Reads /proc/self/cgroup and the files of its groups.
#include "src/comm/cpu_quota.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace lora_dist {

namespace {

namespace fs = std::filesystem;

/// One line of /proc/self/cgroup: "0::/user.slice", or "4:cpu,cpuacct:/docker/1f3".
struct Membership {
  std::string controllers;  // empty: v2
  std::string path;
};

std::vector<Membership> memberships(const fs::path& root) {
  std::vector<Membership> found;
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first == std::string::npos ? first : first + 1);
    if (second != std::string::npos) {
      found.push_back({line.substr(first + 1, second - first - 1), line.substr(second + 1)});
    }
  }
  return found;
}

bool has_cpu(const std::string& controllers) {
  std::istringstream in(controllers);
  for (std::string name; std::getline(in, name, ',');) {
    if (name == "cpu") {
      return true;
    }
  }
  return false;
}

/// quota / period, both in microseconds.
std::optional<double> ratio_of(double quota, double period) {
  return quota > 0.0 && period > 0.0 ? std::optional(quota / period) : std::nullopt;
}

/// cpu.max of v2: "max 100000", or "150000 100000".
std::optional<double> limit_v2(const fs::path& group) {
  std::ifstream in(group / "cpu.max");
  double quota = 0.0;
  double period = 0.0;
  return in >> quota >> period ? ratio_of(quota, period) : std::nullopt;
}

/// v1: a quota of -1 means no limit.
std::optional<double> limit_v1(const fs::path& group) {
  std::ifstream quota_file(group / "cpu.cfs_quota_us");
  std::ifstream period_file(group / "cpu.cfs_period_us");
  double quota = 0.0;
  double period = 0.0;
  return quota_file >> quota && period_file >> period ? ratio_of(quota, period) : std::nullopt;
}

std::string identity_of(const fs::path& group) {
  struct stat found {};
  return ::stat(group.c_str(), &found) == 0 ? std::to_string(found.st_dev) + ":" + std::to_string(found.st_ino) : group.string();
}

/// Adds the limits from the mount point down to the group, each once. In a container the path may be the host's, which does not
/// exist: then the mount point is the container's own group.
template <class Limit>
void add_limits(const fs::path& mount, const std::string& path, Limit limit_of, std::vector<CpuLimit>& limits) {
  const auto add = [&](const fs::path& group) {
    if (const std::optional<double> cpus = limit_of(group)) {
      const CpuLimit limit{identity_of(group), *cpus};
      if (std::find(limits.begin(), limits.end(), limit) == limits.end()) {
        limits.push_back(limit);
      }
    }
  };
  fs::path group = mount;
  add(group);
  for (const fs::path& part : fs::path(path).relative_path()) {
    group /= part;
    add(group);
  }
}

}  // namespace

std::vector<CpuLimit> cpu_limits(const fs::path& root) {
  const fs::path mounts = root / "sys/fs/cgroup";
  std::vector<CpuLimit> limits;
  for (const auto& [controllers, path] : memberships(root)) {
    if (controllers.empty()) {
      add_limits(mounts, path, limit_v2, limits);
      add_limits(mounts / "unified", path, limit_v2, limits);  // beside v1
    } else if (has_cpu(controllers)) {
      add_limits(mounts / controllers, path, limit_v1, limits);
      add_limits(mounts / "cpu", path, limit_v1, limits);
    }
  }
  return limits;
}

std::string to_text(std::span<const CpuLimit> limits) {
  std::string text;
  for (const CpuLimit& limit : limits) {
    text += fmt::format("{} {}\n", limit.group, limit.cpus);
  }
  return text;
}

std::vector<CpuLimit> limits_from(const std::string& text) {
  std::vector<CpuLimit> limits;
  std::istringstream in(text);
  for (CpuLimit limit; in >> limit.group >> limit.cpus;) {
    limits.push_back(limit);
  }
  return limits;
}

std::optional<double> cpu_share(std::span<const std::vector<CpuLimit>> of_ranks, int rank) {
  std::optional<double> share;
  for (const CpuLimit& mine : of_ranks[static_cast<std::size_t>(rank)]) {
    const auto sharing = std::count_if(of_ranks.begin(), of_ranks.end(), [&](const std::vector<CpuLimit>& theirs) {
      return std::any_of(theirs.begin(), theirs.end(), [&](const CpuLimit& each) { return each.group == mine.group; });
    });
    const double of_mine = mine.cpus / static_cast<double>(sharing);
    share = share ? std::min(*share, of_mine) : of_mine;
  }
  return share;
}

}  // namespace lora_dist
