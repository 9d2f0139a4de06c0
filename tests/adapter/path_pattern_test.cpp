// Patterns over module paths.
#include "src/adapter/path_pattern.h"

#include <gmock/gmock.h>

#include "tests/support/scratch.h"

namespace lora_dist::path_pattern_test {
namespace {

constexpr const char* kPath = "model.layers.12.self_attn.q_proj";

TEST(PathPattern, MatchesWholePathsAndEndings) {
  EXPECT_TRUE(path_matches(R"(.*\.(q|v)_proj)", kPath));
  EXPECT_FALSE(path_matches(R"(layers\.12.*)", kPath));
  EXPECT_FALSE(path_matches(R"(model\.layers)", kPath));
  EXPECT_TRUE(path_matches(R"((?P<all>.*)proj)", kPath));  // Python's way to name a group
  EXPECT_TRUE(ending_matches("q_proj", kPath));
  EXPECT_FALSE(ending_matches("proj", kPath));
  EXPECT_TRUE(ending_matches(R"(12\..*q_proj)", kPath));
  EXPECT_FALSE(ending_matches(R"(2\..*q_proj)", kPath));
  EXPECT_EQ(number_after(R"(.*layers)", kPath), 12);
  EXPECT_EQ(number_after(R"(layers)", kPath), std::nullopt);
}

TEST(PathPattern, SaysWhatIsNoPattern) {
  EXPECT_EQ(problem_of_pattern("(a|b)*"), "");
  EXPECT_EQ(problem_of_pattern("(a"), "is not a regular expression that is understood here");
  EXPECT_EQ(problem_of_pattern(std::string(1001, '*')), "is longer than 1000 characters");
}

TEST(PathPattern, APatternThatWouldTakeYearsEnds) {
  const std::string path = std::string(60, 'a') + "b";
  try {
    path_matches("(a|aa|a?)+c*$", path + "d");
    FAIL() << "matched, or gave up in silence";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::model);
    EXPECT_THAT(error.what(), testing::HasSubstr("takes too many steps to hold against"));
  }
}

}  // namespace
}  // namespace lora_dist::path_pattern_test
