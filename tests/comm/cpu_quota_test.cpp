// Limits of control groups, of both versions, as containers and batch systems set them.
#include "src/comm/cpu_quota.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/scratch.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;

struct CpuQuota : testing::Test {
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((scratch.path() / path).parent_path());
    std::ofstream(scratch.path() / path) << text << "\n";
  }
  std::optional<double> quota() const { return cpu_quota(scratch.path()); }
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

}  // namespace
}  // namespace lora_dist
