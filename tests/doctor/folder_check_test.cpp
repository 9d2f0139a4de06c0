// Verdicts on the file system of output.dir, and a look at a real one.
#include "src/doctor/folder_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/comm/single_rank.h"
#include "src/doctor/file_system.h"
#include "tests/doctor/verdicts.h"
#include "tests/support/scratch.h"

namespace lora_dist::folder_check_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::int64_t kGiB = std::int64_t{1} << 30;

FolderFacts folder(const std::string& file_system) { return {"runs/x", file_system, "", true}; }

SpaceFacts space(std::int64_t free, std::int64_t needed) {
  SpaceFacts facts;
  facts.folder = "runs/x";
  facts.free_bytes = free;
  facts.free_files = -1;
  facts.needed_bytes = needed;
  return facts;
}

std::string said(const SpaceFacts& facts, std::size_t row) { return verdicts(judge_space(facts))[row]; }

TEST(FolderCheck, Works) {
  EXPECT_THAT(verdicts(judge_folder(folder("lustre"))), ElementsAre("ok: runs/x (lustre): written, synced, renamed, read back"));
}

TEST(FolderCheck, GoesAway) {
  EXPECT_THAT(verdicts(judge_folder(folder("tmpfs"))),
              ElementsAre(AllOf(HasSubstr("warning: "), HasSubstr("machine's next start"))));
  EXPECT_THAT(verdicts(judge_folder(folder("overlay"))), ElementsAre(HasSubstr("vanishes with the container")));
}

TEST(FolderCheck, FailsOrIsNotShared) {
  FolderFacts facts = folder("nfs");
  facts.problem = "cannot sync runs/x/a: Input/output error";
  EXPECT_THAT(verdicts(judge_folder(facts)), ElementsAre(AllOf(HasSubstr("broken: cannot sync"), HasSubstr("choose another"))));
  facts.sees_rank_0 = false;
  EXPECT_THAT(verdicts(judge_folder(facts)),
              ElementsAre(AllOf(HasSubstr("broken: what rank 0 writes to runs/x is not to be seen here"), HasSubstr("shared"))));
  EXPECT_EQ(judge_folder(facts)[0].code, ExitCode::usage);
}

TEST(FolderCheck, Space) {
  EXPECT_EQ(said(space(10 * kGiB, 0), 0), "ok: 10.0 GiB free in runs/x");
  EXPECT_THAT(said(space(kGiB / 2, 0), 0), AllOf(HasSubstr("warning: 512 MiB free"), HasSubstr("checkpoint.keep")));
  EXPECT_THAT(said(space(10 * kGiB, 3 * kGiB), 0),
              HasSubstr("ok: 10.0 GiB free in runs/x; 3 checkpoints, one in the making and the adapters take 3.00 GiB"));
  EXPECT_THAT(said(space(5 * kGiB, 3 * kGiB), 0), HasSubstr("warning: 5.00 GiB"));
  EXPECT_THAT(said(space(2 * kGiB, 3 * kGiB), 0), AllOf(HasSubstr("broken: 2.00 GiB"), HasSubstr("another output.dir")));
  SpaceFacts few = space(10 * kGiB, kGiB);
  few.free_files = 12;
  EXPECT_THAT(said(few, 0), AllOf(HasSubstr("warning: "), HasSubstr("only 12 more files")));
}

TEST(FolderCheck, LockingAndPermissions) {
  SpaceFacts facts = space(10 * kGiB, 0);
  EXPECT_EQ(said(facts, 1), "ok: a second job in the same output.dir is refused");
  EXPECT_EQ(said(facts, 2), "ok: files can be kept to their owner");
  facts.locking = Locking::unsupported;
  EXPECT_THAT(said(facts, 1), AllOf(HasSubstr("warning: the file system knows no locks"), HasSubstr("flock")));
  facts.locking = Locking::without_effect;
  EXPECT_THAT(said(facts, 1), HasSubstr("warning: a lock that rank 0 holds does not hold others off"));
  facts.owner_only = false;
  EXPECT_THAT(said(facts, 2), AllOf(HasSubstr("warning: runs/x cannot keep a file to its owner"), HasSubstr("Unix permissions")));
}

/// A folder that does not exist yet: the trial leaves nothing behind.
TEST(FolderCheck, LooksAtARealFolderAndLeavesNothing) {
  const Scratch scratch;
  const auto alone = make_single_rank();
  const std::filesystem::path output = scratch / "runs/x";
  EXPECT_EQ(nearest_folder(output), scratch.path());
  {
    const TrialFolder trial(output, *alone);
    EXPECT_EQ(trial.path().parent_path(), scratch.path());
    const FolderFacts facts = look_at_folder(output, trial, *alone);
    EXPECT_TRUE(facts.sees_rank_0);
    EXPECT_EQ(facts.problem, "");
    EXPECT_NE(facts.file_system, "");
    const SpaceFacts found = look_at_space(output, trial, *alone, 5, 3);
    EXPECT_GT(found.free_bytes, 0);
    EXPECT_EQ(found.locking, Locking::holds);
    EXPECT_TRUE(found.owner_only);
  }
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST(FolderCheck, WhereNothingCanBeMade) {
  const auto alone = make_single_rank();
  const TrialFolder trial("/proc/lora_dist", *alone);  // not even root may
  EXPECT_TRUE(trial.path().empty());
  EXPECT_THAT(trial.problem(), HasSubstr("cannot make a folder in /proc"));
  EXPECT_EQ(look_at_folder("/proc/lora_dist", trial, *alone).problem, trial.problem());
}

}  // namespace
}  // namespace lora_dist::folder_check_test
