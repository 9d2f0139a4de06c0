// Limits of control groups, of both versions, as containers and batch systems set them.
#include "src/comm/cpu_quota.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/scratch.h"

namespace lora_dist::cpu_quota_test {
namespace {

namespace fs = std::filesystem;

struct CpuQuota : testing::Test {
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((scratch.path() / path).parent_path());
    std::ofstream(scratch.path() / path) << text << "\n";
  }
  std::optional<double> quota() const { return cpu_share(std::vector<std::vector<CpuLimit>>{cpu_limits(scratch.path())}, 0); }
  Scratch scratch;
};

TEST_F(CpuQuota, NothingIsKnownWithoutGroups) { EXPECT_EQ(quota(), std::nullopt); }

TEST_F(CpuQuota, Version2TakesTheLeastOfTheGroupAndThoseAroundIt) {
  write("proc/self/cgroup", "0::/system.slice/job_7");
  write("sys/fs/cgroup/system.slice/job_7/cpu.max", "max 100000");
  EXPECT_EQ(quota(), std::nullopt);
  write("sys/fs/cgroup/system.slice/job_7/cpu.max", "400000 100000");
  EXPECT_EQ(quota(), 4.0);
  write("sys/fs/cgroup/system.slice/cpu.max", "150000 100000");
  EXPECT_EQ(quota(), 1.5);
}

TEST_F(CpuQuota, AContainerSeesItsOwnGroupAtTheMountPoint) {
  write("proc/self/cgroup", "0::/docker/1f3");  // the host's path, which is not there
  write("sys/fs/cgroup/cpu.max", "200000 100000");
  EXPECT_EQ(quota(), 2.0);
}

TEST_F(CpuQuota, Version1) {
  write("proc/self/cgroup", "9:memory:/slurm/job_7\n4:cpu,cpuacct:/slurm/job_7\n0::/");
  write("sys/fs/cgroup/cpu,cpuacct/slurm/job_7/cpu.cfs_quota_us", "-1");
  write("sys/fs/cgroup/cpu,cpuacct/slurm/job_7/cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota(), std::nullopt);
  write("sys/fs/cgroup/cpu,cpuacct/slurm/job_7/cpu.cfs_quota_us", "300000");
  EXPECT_EQ(quota(), 3.0);
  write("sys/fs/cgroup/cpu/slurm/job_7/cpu.cfs_quota_us", "50000");
  write("sys/fs/cgroup/cpu/slurm/job_7/cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota(), 0.5);
}

TEST_F(CpuQuota, DamagedFilesLimitNothing) {
  write("proc/self/cgroup", "nonsense\n0::/a\n:::\n");
  write("sys/fs/cgroup/a/cpu.max", "many 100000");
  write("sys/fs/cgroup/cpu.max", "100000 0");
  EXPECT_EQ(quota(), std::nullopt);
}

/// Ranks of one node, by their groups: those that SLURM or a container makes for each, and those around them.
TEST_F(CpuQuota, IsSharedByTheRanksOfAGroupAlone) {
  write("sys/fs/cgroup/job/cpu.max", "600000 100000");
  write("sys/fs/cgroup/job/task_0/cpu.max", "400000 100000");
  write("sys/fs/cgroup/job/task_1/cpu.max", "100000 100000");
  const auto limits_in = [&](const std::string& group) {
    write("proc/self/cgroup", "0::" + group);
    return limits_from(to_text(cpu_limits(scratch.path())));
  };
  const std::vector<std::vector<CpuLimit>> apart = {limits_in("/job/task_0"), limits_in("/job/task_1")};
  EXPECT_EQ(cpu_share(apart, 0), 3.0);  // half of the job's 6 is less than its own 4
  EXPECT_EQ(cpu_share(apart, 1), 1.0);
  const std::vector<std::vector<CpuLimit>> together = {limits_in("/job/task_0"), limits_in("/job/task_0")};
  EXPECT_EQ(cpu_share(together, 0), 2.0);
  EXPECT_EQ(cpu_share(together, 1), 2.0);
  const std::vector<std::vector<CpuLimit>> one_free = {{{"a", 2.0}}, {}};
  EXPECT_EQ(cpu_share(one_free, 0), 2.0);
  EXPECT_EQ(cpu_share(one_free, 1), std::nullopt);
}

TEST_F(CpuQuota, LimitsSurviveTheWayToOtherRanks) {
  const std::vector<CpuLimit> limits = {{"27:13", 1.0 / 3.0}, {"27:14", 64.0}};
  EXPECT_EQ(limits_from(to_text(limits)), limits);
  EXPECT_TRUE(limits_from("").empty());
}

}  // namespace
}  // namespace lora_dist::cpu_quota_test
