// Disk faults and missing memory during writes: an error with the right exit code, and earlier checkpoints from which the run
// resumes.
#include <gtest/gtest.h>

#include "src/checkpoint/checkpoint.h"
#include "tests/program_faulty/faulty_launch.h"

namespace lora_dist::program::disk_test {
namespace {

namespace fs = std::filesystem;

struct Bad {
  const char* name;
  const char* fault;  // of the checkpoint of step 4
  int code;
  std::vector<std::string> texts;
};
void PrintTo(const Bad& each, std::ostream* out) { *out << each.name; }

class BadCheckpoint : public testing::TestWithParam<Bad> {};

TEST_P(BadCheckpoint, EndsTheJobAndTheEarlierOneIsGoneOnFrom) {
  const Bad& each = GetParam();
  const Scratch scratch;
  expect_success(launch_of(short_run(scratch / "straight"), 1));
  const Settings settings = short_run(scratch / "out");
  expect_error(faulty(settings, 2, each.fault), each.code, each.texts);
  EXPECT_EQ(checkpoints_of(scratch / "out"), std::vector<std::string>{"step_00000002"});
  EXPECT_EQ(verify_checkpoint(scratch / "out/checkpoints/step_00000002"), std::vector<std::string>{});
  EXPECT_FALSE(fs::exists(scratch / "out/checkpoints/.tmp-step_00000004"));
  const Finished resumed = expect_success(launch_of(settings, 2));
  EXPECT_EQ(count_of(resumed.out, "/step_00000002 (step 2)"), 1) << resumed.out;
  expect_steps(scratch / "out", 10);
  expect_same_training(scratch / "out", scratch / "straight");
}

INSTANTIATE_TEST_SUITE_P(
    Faults, BadCheckpoint,
    testing::Values(
        Bad{"full",
            "enospc,00004/shard_00001,1,1,0",
            4,
            {"rank 1: ", "shard_00001.h5: No space left on device; free some space"}},
        Bad{"full_once", "enospc,00004/shard_00001,1", 4, {"shard_00001.h5: No space left on device"}},
        Bad{"broken", "eio,00004/shard_00000,0,2", 4, {"rank 0: ", "shard_00000.h5: Input/output error"}},
        Bad{"broken_at_the_end", "sync_eio,00004/shard_00001,1", 4, {"cannot write ", "shard_00001.h5: Input/output error"}},
        Bad{"flipped", "flip,00004/shard_00001,1", 4, {"cannot read the dataset params of ", "shard_00001.h5"}},
        Bad{"lost", "lost_write,00004/shard_00001,1,2", 4, {"cannot read the dataset m of ", "shard_00001.h5"}},
        Bad{"manifest_full", "enospc,00004/MANIFEST,0", 4, {"cannot write ", "MANIFEST.json: No space left on device"}},
        Bad{"manifest_flipped", "flip,00004/MANIFEST,0", 4, {"MANIFEST.json read back differently from what was written"}},
        Bad{"memory", "no_memory,shard,1,2", 6, {"rank 1: out of memory; use a smaller train.micro_batch"}},
        Bad{"memory_of_the_manifest", "no_memory,commit,0,2", 6, {"rank 0: out of memory; use "}}),
    [](const auto& info) { return std::string(info.param.name); });

/// A system may write less than it was given at any time.
TEST(FaultyDisk, ShortWritesChangeNothing) {
  const Scratch scratch;
  expect_success(launch_of(short_run(scratch / "straight"), 1));
  expect_success(faulty(short_run(scratch / "out"), 2, "short_write,/out/,1,1,0;short_write,/out/,0,1,0"));
  expect_same_training(scratch / "out", scratch / "straight");
  ASSERT_FALSE(checkpoints_of(scratch / "out").empty());
  for (const std::string& checkpoint : checkpoints_of(scratch / "out")) {
    EXPECT_EQ(verify_checkpoint(scratch / "out/checkpoints" / checkpoint), std::vector<std::string>{});
  }
}

TEST(FaultyDisk, InTheLogsWhileACheckpointIsWritten) {
  const Scratch scratch;
  const std::string slow = "eio,metrics.jsonl,0,3;slow,shard,1,1,1,0.5";
  expect_error(faulty(short_run(scratch / "out"), 2, slow), 2, {"metrics.jsonl: Input/output error"});
  EXPECT_EQ(checkpoints_of(scratch / "out"), std::vector<std::string>{"step_00000002"});
  // What was begun first is told.
  expect_error(faulty(short_run(scratch / "both"), 2, slow + ";enospc,shard_00001,1,1,0"), 4,
               {"shard_00001.h5: No space left on device"});
  EXPECT_TRUE(checkpoints_of(scratch / "both").empty());
}

TEST(FaultyDisk, AFullOneInTheLogsEndsAsInACheckpoint) {
  const Scratch scratch;
  for (const std::string file : {"metrics.jsonl", "events.out.tfevents"}) {
    const bool of_metrics = file == "metrics.jsonl";  // the other begins with two records of its own
    const fs::path output = scratch / (of_metrics ? "out_1" : "out_2");
    expect_error(faulty(short_run(output), 2, "enospc," + file + (of_metrics ? ",0,3" : ",0,5")), 4,
                 {file, ": No space left on device; free some space on that file system (", "(output.dir says where it is)"});
    EXPECT_EQ(checkpoints_of(output).size(), 1U);
  }
}

TEST(FaultyDisk, InTheAdapter) {
  const Scratch scratch;
  expect_error(faulty(short_run(scratch / "out"), 2, "enospc,adapter_model,0"), 4,
               {"adapter_model.safetensors: No space left on device"});
  EXPECT_EQ(checkpoints_of(scratch / "out").back(), "step_00000008");
  expect_success(launch_of(short_run(scratch / "out"), 2));
  expect_steps(scratch / "out", 10);
}

TEST(NoMemory, InAStepEndsTheJob) {
  const Scratch scratch;
  expect_error(faulty(short_run(scratch / "out"), 2, "no_memory,step,1,5"), 6, {"rank 1: out of memory; use "});
  expect_success(launch_of(short_run(scratch / "out"), 2));
  expect_steps(scratch / "out", 10);
}

}  // namespace
}  // namespace lora_dist::program::disk_test
