// Ranks started with different programs.
#include "src/job/ranks_agree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/core/error_of.h"
#include "tests/support/thread_ranks.h"

namespace lora_dist::ranks_agree_test {
namespace {

TEST(RanksAgree, AnotherVersionIsNamedWithItsRank) {
  test::on_ranks(3, [](Communicator& world) {
    EXPECT_FALSE(error_of([&] { check_same_program(world, Config{}, "1.2.3"); }));
    const auto error = error_of([&] { check_same_program(world, Config{}, world.rank() == 2 ? "1.2.4" : "1.2.3"); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ExitCode::communication);
    EXPECT_THAT(error->what(),
                testing::HasSubstr("rank 2: this is lora_dist 1.2.4, and rank 0 runs 1.2.3; start the same program"));
  });
}

}  // namespace
}  // namespace lora_dist::ranks_agree_test
