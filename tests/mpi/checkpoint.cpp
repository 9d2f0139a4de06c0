// Saving and resuming over MPI, on any number of ranks.
#include "src/checkpoint/checkpoint.h"

#include <gmock/gmock.h>

#include "src/comm/mpi_communicator.h"
#include "src/comm/single_rank.h"
#include "tests/checkpoint/sample_run.h"
#include "tests/support/scratch.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class CheckpointOverMpi : public testing::Test {
 protected:
  CheckpointOverMpi() : world_(make_mpi_world()) {
    if (world_->rank() == 0) {
      scratch_ = std::make_unique<Scratch>();
    }
    dir_ = broadcast_string(*world_, scratch_ ? scratch_->path().string() : "", 0);
  }
  ~CheckpointOverMpi() override { world_->barrier(); }

  std::unique_ptr<Communicator> world_;
  std::unique_ptr<Communicator> alone_ = make_single_rank();
  std::unique_ptr<Scratch> scratch_;
  fs::path dir_;
};

TEST_F(CheckpointOverMpi, EveryRankWritesItsShardAndAnyNumberOfRanksReadsThem) {
  const fs::path path = save_checkpoint(*world_, dir_, sample_identity(), sample_state(1), 0).path;
  const auto files = std::distance(fs::directory_iterator(path), fs::directory_iterator());
  EXPECT_EQ(files, world_->size() + 1);
  EXPECT_TRUE(same_state(load_checkpoint(*world_, path, sample_identity()), sample_state(1)));
  EXPECT_TRUE(same_state(load_checkpoint(*alone_, path, sample_identity()), sample_state(1)));
}

TEST_F(CheckpointOverMpi, ReadsWhatOneRankWrote) {
  if (world_->rank() == 0) {
    save_checkpoint(*alone_, dir_, sample_identity(), sample_state(2), 0);
  }
  world_->barrier();
  EXPECT_EQ(newest_sound_checkpoint(*world_, dir_).path, dir_ / "step_00000002");
  EXPECT_TRUE(same_state(load_checkpoint(*world_, dir_ / "step_00000002", sample_identity()), sample_state(2)));
}

TEST_F(CheckpointOverMpi, AFailureOnOneRankIsEveryRanksAndLeavesTheEarlierOne) {
  save_checkpoint(*world_, dir_, sample_identity(), sample_state(1), 1);
  TrainingState drifted = sample_state(2);
  const int last = world_->size() - 1;
  if (world_->rank() == last && last > 0) {
    drifted.v.back() += 1;
  } else if (last == 0) {
    return;  // one rank cannot drift from itself
  }
  const Thrown error = thrown_by([&] { save_checkpoint(*world_, dir_, sample_identity(), drifted, 1); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, AllOf(HasSubstr("read back differently"), HasSubstr("that all ranks hold the same adapter")));
  for (const std::string& theirs : all_gather_strings(*world_, error.message)) {
    EXPECT_EQ(theirs, error.message);
  }
  EXPECT_FALSE(fs::exists(dir_ / ".tmp-step_00000002"));
  EXPECT_EQ(newest_sound_checkpoint(*world_, dir_).path, dir_ / "step_00000001");
}

TEST_F(CheckpointOverMpi, DamageIsTheSameErrorOnEveryRank) {
  const fs::path older = save_checkpoint(*world_, dir_, sample_identity(), sample_state(1), 0).path;
  const fs::path newer = save_checkpoint(*world_, dir_, sample_identity(), sample_state(2), 0).path;
  const fs::path shard = newer / ("shard_0000" + std::to_string(world_->size() - 1) + ".h5");
  if (world_->rank() == 0) {
    std::string content = get_file(shard);
    content[content.size() / 3] ^= 1;
    put_file(shard, content);
  }
  world_->barrier();
  const SoundCheckpoint found = newest_sound_checkpoint(*world_, dir_);
  EXPECT_EQ(found.path, older);
  ASSERT_EQ(found.warnings.size(), 1U);
  EXPECT_THAT(found.warnings[0], HasSubstr(shard.string() + " is damaged"));
  const Thrown error = thrown_by([&] { load_checkpoint(*world_, newer, sample_identity()); });
  EXPECT_THAT(error.message, AllOf(HasSubstr("is not sound"), HasSubstr(shard.string())));
  for (const std::string& theirs : all_gather_strings(*world_, error.message)) {
    EXPECT_EQ(theirs, error.message);
  }
}

TEST_F(CheckpointOverMpi, AnotherBaseModelIsOneErrorForAll) {
  const fs::path path = save_checkpoint(*world_, dir_, sample_identity(), sample_state(1), 0).path;
  CheckpointIdentity other = sample_identity();
  other.base_model_hash = "bbbb2222";
  const Thrown error = thrown_by([&] { load_checkpoint(*world_, path, other); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, testing::StartsWith(path.string()));  // no rank is named: all found the same
}

}  // namespace
}  // namespace lora_dist
