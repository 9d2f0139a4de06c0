// A checkpoint written beside other work: the bytes of one that is waited for, and what is left of one that fails or is given up.
#include "src/checkpoint/pending_save.h"

#include <gmock/gmock.h>

#include <chrono>
#include <thread>

#include "src/comm/single_rank.h"
#include "tests/checkpoint/sample_run.h"
#include "tests/support/scratch.h"

namespace lora_dist::pending_save_test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class PendingSaveTest : public testing::Test {
 protected:
  std::unique_ptr<PendingSave> begin(const TrainingState& state, const fs::path& folder) {
    return std::make_unique<PendingSave>(*comm_, folder, sample_identity(), state, buffers_of(state), 0);
  }
  std::unique_ptr<PendingSave> begin(const TrainingState& state) { return begin(state, scratch_.path()); }
  static void await_thread(const PendingSave& save) {
    while (save.is_working()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  Scratch scratch_;
  std::unique_ptr<Communicator> comm_ = make_single_rank();
};

TEST_F(PendingSaveTest, HasTheBytesOfOneThatIsWaitedFor) {
  const TrainingState state = sample_state(7);
  const auto save = begin(state, scratch_ / "beside");
  await_thread(*save);
  EXPECT_FALSE(save->proceed());
  await_thread(*save);
  EXPECT_TRUE(save->proceed());
  EXPECT_EQ(save->finish().path, scratch_ / "beside/step_00000007");
  const fs::path waited = save_checkpoint(*comm_, scratch_ / "waited", sample_identity(), state, 0).path;
  for (const char* file : {"shard_00000.h5", "MANIFEST.json"}) {
    EXPECT_TRUE(get_file(waited / file) == get_file(scratch_ / "beside/step_00000007" / file)) << file;
  }
}

TEST_F(PendingSaveTest, IsNoCheckpointBeforeItsCommit) {
  save_checkpoint(*comm_, scratch_.path(), sample_identity(), sample_state(1), 0);
  const TrainingState state = sample_state(2);
  {
    const auto given_up = begin(state);
    await_thread(*given_up);
    EXPECT_THAT(find_checkpoints(scratch_.path()), ElementsAre(scratch_ / "step_00000001"));
    EXPECT_EQ(newest_sound_checkpoint(*comm_, scratch_.path()).path, scratch_ / "step_00000001");
  }
  EXPECT_TRUE(fs::exists(scratch_ / ".tmp-step_00000002"));
  const TrainingState later = sample_state(3);
  begin(later)->finish();
  EXPECT_THAT(find_checkpoints(scratch_.path()), ElementsAre(scratch_ / "step_00000003", scratch_ / "step_00000001"));
  EXPECT_FALSE(fs::exists(scratch_ / ".tmp-step_00000002"));
}

TEST_F(PendingSaveTest, WhatFailsInAThreadIsToldByTheNextCall) {
  save_checkpoint(*comm_, scratch_.path(), sample_identity(), sample_state(1), 0);
  const TrainingState state = sample_state(2);
  const auto save = begin(state);
  await_thread(*save);
  fs::remove_all(scratch_ / ".tmp-step_00000002");
  const Thrown error = thrown_by([&] { save->finish(); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, AllOf(HasSubstr("cannot create"), HasSubstr("MANIFEST.json: No such file or directory")));
  EXPECT_THAT(find_checkpoints(scratch_.path()), ElementsAre(scratch_ / "step_00000001"));
  EXPECT_FALSE(fs::exists(scratch_ / ".tmp-step_00000002"));
}

TEST_F(PendingSaveTest, BuffersThatChangeMeanwhileAreFound) {
  const TrainingState state = sample_state(2);
  TrainingState copy = state;
  const auto save = begin(copy);
  await_thread(*save);
  copy.m[5] += 1.0F;
  EXPECT_THAT(thrown_by([&] { save->finish(); }).message, HasSubstr("shard_00000.h5 read back differently from what was to be"));
}

}  // namespace
}  // namespace lora_dist::pending_save_test
