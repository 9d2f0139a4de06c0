// Reads /proc/self/cgroup and the files of the groups that it names.
#include "src/comm/cpu_quota.h"

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

/// v1: a quota of -1 is none.
std::optional<double> limit_v1(const fs::path& group) {
  std::ifstream quota_file(group / "cpu.cfs_quota_us");
  std::ifstream period_file(group / "cpu.cfs_period_us");
  double quota = 0.0;
  double period = 0.0;
  return quota_file >> quota && period_file >> period ? ratio_of(quota, period) : std::nullopt;
}

std::optional<double> least(const std::optional<double>& a, const std::optional<double>& b) {
  return a && b ? std::min(*a, *b) : a ? a : b;
}

/// From the group up to the mount point. In a container the path may be the host's, which is not there: the mount point is the
/// container's own group then.
template <class Limit>
std::optional<double> least_limit(const fs::path& mount, const std::string& path, Limit limit) {
  std::optional<double> found = limit(mount);
  fs::path group = mount;
  for (const fs::path& part : fs::path(path).relative_path()) {
    group /= part;
    found = least(found, limit(group));
  }
  return found;
}

}  // namespace

std::optional<double> cpu_quota(const fs::path& root) {
  const fs::path mounts = root / "sys/fs/cgroup";
  std::optional<double> found;
  for (const auto& [controllers, path] : memberships(root)) {
    if (controllers.empty()) {
      found = least(found, least_limit(mounts, path, limit_v2));
      found = least(found, least_limit(mounts / "unified", path, limit_v2));  // beside v1
    } else if (has_cpu(controllers)) {
      found = least(found, least_limit(mounts / controllers, path, limit_v1));
      found = least(found, least_limit(mounts / "cpu", path, limit_v1));
    }
  }
  return found;
}

}  // namespace lora_dist
