// doctor on emulated GPUs: NCCL between all pairs, and what may be wrong with a device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/program/fixtures.h"

namespace lora_dist::program::doctor_test {
namespace {

using testing::HasSubstr;

Finished doctor(int ranks, const std::map<std::string, std::string>& environment) {
  const Scratch scratch;
  Launch launch;
  launch.arguments = {"doctor"};
  launch.folder = scratch.path();
  launch.ranks = ranks;
  launch.environment["LORA_DIST_EMULATED_OPEN"] = "1";
  for (const auto& [name, value] : environment) {
    launch.environment["LORA_DIST_EMULATED_" + name] = value;
  }
  return run_program(launch);
}

TEST(Doctor, APairOfRanksExchanges) {
  const Finished finished = doctor(2, {{"DEVICES", "2"}});
  EXPECT_EQ(finished.exit_code, 0) << finished.out << finished.err;
  EXPECT_THAT(finished.out, HasSubstr(", 1 pair of ranks exchanged"));
}

/// The emulated NCCL knows no groups but that of all ranks.
TEST(Doctor, EveryPairThatDoesNotExchangeIsNamed) {
  const Finished finished = doctor(3, {{"DEVICES", "3"}});
  EXPECT_EQ(finished.exit_code, 5) << finished.out << finished.err;
  for (const char* pair : {"between ranks 0 and 1: ", "between ranks 0 and 2: ", "between ranks 1 and 2: "}) {
    EXPECT_THAT(finished.out, HasSubstr(std::string("broken   NCCL         ") + pair + "NCCL did not start"));
  }
}

TEST(Doctor, RanksThatShareADevice) {
  const Finished finished = doctor(2, {{"DEVICES", "1"}});
  EXPECT_EQ(finished.exit_code, 0) << finished.out << finished.err;
  EXPECT_THAT(finished.out, HasSubstr("warning  NCCL         ranks share a GPU, which NCCL does not allow"));
}

TEST(Doctor, AChipThatTheBuildHasNoCodeForOnOneRank) {
  const Finished finished = doctor(2, {{"DEVICES", "2"}, {"CODE", "90"}, {"CAPABILITY_RANK1", "70"}});
  EXPECT_EQ(finished.exit_code, 5) << finished.out << finished.err;
  EXPECT_THAT(finished.out, HasSubstr("broken   GPU          rank 1 ("));
  EXPECT_THAT(finished.out, HasSubstr("no code for"));
}

}  // namespace
}  // namespace lora_dist::program::doctor_test
