// Wrong bits on one rank: found before they are saved, named, and undone once.
#include <gtest/gtest.h>

#include "tests/program_faulty/faulty_launch.h"

namespace lora_dist::program::replicas_test {
namespace {

TEST(Replicas, ADifferenceIsUndoneOnce) {
  const Scratch scratch;
  expect_success(launch_of(short_run(scratch / "straight"), 1));
  const Finished finished = expect_success(faulty(short_run(scratch / "out"), 4, "lie,adapter,2,5"));
  // Checkpoints are every two steps: it is found at step 6, before that step's is written.
  EXPECT_EQ(count_of(finished.err, "after step 6 rank 2 holds another adapter than ranks 0-1, 3"), 1) << finished.err;
  EXPECT_EQ(count_of(finished.err, "going back to the last checkpoint, once"), 1) << finished.err;
  EXPECT_EQ(count_of(finished.out, "resuming from "), 1) << finished.out;
  expect_steps(scratch / "out", 10);
  expect_same_training(scratch / "out", scratch / "straight");
}

TEST(Replicas, ADifferenceThatComesBackEndsTheJob) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["parallel.verify_replicas_every"] = "1";
  expect_error(faulty(settings, 2, "lie,adapter,1,5,0"), 5,
               {"after step 5 rank 1 holds another adapter than rank 0", "again", "Leave that rank's node out"});
  EXPECT_EQ(checkpoints_of(scratch / "out").back(), "step_00000004");
}

TEST(Replicas, WithoutACheckpointThereIsNothingToGoBackTo) {
  const Scratch scratch;
  expect_error(faulty(short_run(scratch / "out"), 2, "lie,adapter,1,1"), 5,
               {"after step 2 rank 1 holds another adapter than rank 0", "there is no checkpoint yet to go back to"});
  EXPECT_TRUE(checkpoints_of(scratch / "out").empty());
}

TEST(Replicas, AGradientThatIsNotANumberIsNotApplied) {
  const Scratch scratch;
  expect_error(faulty(short_run(scratch / "out"), 2, "nan,gradient,1,5"), 7,
               {"loss or gradient is not finite", "in a pass with rows ", "Nothing of it reached the adapter"});
}

}  // namespace
}  // namespace lora_dist::program::replicas_test
