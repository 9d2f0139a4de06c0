// A disk that fills up during a run: an error, unchanged earlier checkpoints, and a run that continues once there is space.
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "src/checkpoint/checkpoint.h"
#include "tests/program/fixtures.h"

namespace lora_dist::program::full_disk_test {
namespace {

namespace fs = std::filesystem;

/// A file system in memory of so many KiB; needs root.
class SmallDisk {
 public:
  SmallDisk(const fs::path& folder, int kib) : folder_(folder) {
    fs::create_directories(folder);
    mounted_ = mount("tmpfs", folder.c_str(), "tmpfs", 0, size(kib).c_str()) == 0;
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() {
    if (mounted_) {
      umount2(folder_.c_str(), MNT_DETACH);
    }
  }
  bool mounted() const { return mounted_; }
  void grow(int kib) const { EXPECT_EQ(mount("tmpfs", folder_.c_str(), "tmpfs", MS_REMOUNT, size(kib).c_str()), 0); }

 private:
  static std::string size(int kib) { return "size=" + std::to_string(kib) + "k"; }
  fs::path folder_;
  bool mounted_ = false;
};

TEST(FullDisk, InACheckpointLeavesTheEarlierOnesAndTheRunGoesOnLater) {
  const Scratch scratch;
  expect_success(launch_of(short_run(scratch / "straight"), 1));
  for (const int ranks : {1, 3}) {
    const SmallDisk disk(scratch / ("disk" + std::to_string(ranks)), 760);  // a checkpoint takes about 300
    if (!disk.mounted()) {
      GTEST_SKIP() << "no tmpfs could be mounted (" << std::strerror(errno) << "); this test needs root";
    }
    const fs::path output = scratch / ("disk" + std::to_string(ranks)) / "out";
    expect_error(launch_of(short_run(output), ranks), 4, {"step_00000006", "No space left on device", "free some space"});
    EXPECT_EQ(checkpoints_of(output), (std::vector<std::string>{"step_00000002", "step_00000004"}));
    for (const std::string& checkpoint : checkpoints_of(output)) {
      EXPECT_EQ(verify_checkpoint(output / "checkpoints" / checkpoint), std::vector<std::string>{});
    }
    disk.grow(4000);
    expect_success(launch_of(short_run(output), ranks));
    expect_steps(output, 10);
    expect_same_training(output, scratch / "straight");
  }
}

TEST(FullDisk, InTheLogs) {
  const Scratch scratch;
  for (const int ranks : {1, 3}) {
    const SmallDisk disk(scratch / ("disk" + std::to_string(ranks)), 8);
    if (!disk.mounted()) {
      GTEST_SKIP() << "no tmpfs could be mounted (" << std::strerror(errno) << "); this test needs root";
    }
    expect_error(launch_of(short_run(scratch / ("disk" + std::to_string(ranks)) / "out"), ranks), 4,
                 {"No space left on device; free some space on that file system (0 B of 8.00 KiB are free)"});
  }
}

TEST(FullDisk, InTheOutputOfScore) {
  const Scratch scratch;
  const SmallDisk disk(scratch / "disk", 4);
  if (!disk.mounted()) {
    GTEST_SKIP() << "no tmpfs could be mounted (" << std::strerror(errno) << "); this test needs root";
  }
  Launch launch;
  launch.arguments = {"score",
                      "--model",
                      source("demo/model").string(),
                      "--input",
                      source("tests/golden/stories260k/score_input.jsonl").string(),
                      "--output",
                      (scratch / "disk/out.jsonl").string()};
  expect_error_on_1_and_3_ranks(launch, 4, {"out.jsonl.part: No space left on device"});
  EXPECT_FALSE(fs::exists(scratch / "disk/out.jsonl"));
}

TEST(FullDisk, OnStandardOutput) {
  const Scratch scratch;
  const std::vector<std::string> commands = {"--version", "plan --help",
                                             "--print-config --cfg " LORA_DIST_SOURCE_DIR "/configs/demo.toml", "doctor"};
  for (const std::string& command : commands) {
    const std::string errors = (scratch / "errors").string();
    // Open MPI leaks what it allocates at start.
    const int status =
        std::system(("ASAN_OPTIONS=detect_leaks=0 " LORA_DIST_PROGRAM " " + command + " >/dev/full 2>" + errors).c_str());
    EXPECT_EQ(WEXITSTATUS(status), 4) << command;
    EXPECT_NE(get_file(errors).find("lora_dist: error: cannot write"), std::string::npos) << command << "\n" << get_file(errors);
    EXPECT_NE(get_file(errors).find("No space left on device"), std::string::npos) << command << "\n" << get_file(errors);
  }
}

}  // namespace
}  // namespace lora_dist::program::full_disk_test
