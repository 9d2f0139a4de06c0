// Tables of words.
#include "src/core/words.h"

#include <gmock/gmock.h>

#include "src/core/choices.h"

namespace lora_dist::words_test {
namespace {

TEST(Words, StandForTheirValues) {
  EXPECT_EQ(value_of_word(kRecomputes, "selective"), Recompute::selective);
  EXPECT_EQ(value_of_word(kRecomputes, "Selective"), std::nullopt);
  EXPECT_EQ(value_of_word(kRecomputes, ""), std::nullopt);
  EXPECT_EQ(word_of(kRecomputes, Recompute::block), "block");
  EXPECT_THAT(all_words(kRecomputes), testing::ElementsAre("none", "selective", "block"));
}

TEST(Words, AutoIsAValueThatIsNotSet) {
  const std::optional<std::optional<Backend>> automatic = value_of_word(kBackends, "auto");
  ASSERT_TRUE(automatic.has_value());
  EXPECT_EQ(*automatic, std::nullopt);
  EXPECT_EQ(word_of(kBackends, std::optional<Backend>()), "auto");
  EXPECT_EQ(word_of(kBackends, std::optional(Backend::cuda)), "cuda");
  EXPECT_EQ(value_of_word(kBackends, "gpu"), std::nullopt);
}

/// Each word once, and each with a value of its own.
template <class Table>
void expect_sound(const Table& table) {
  for (const auto& each : table) {
    EXPECT_EQ(value_of_word(table, each.word).value(), each.value) << each.word;
    EXPECT_EQ(word_of(table, each.value), each.word);
  }
}

TEST(Words, TablesAreSound) {
  expect_sound(kQuantizations);
  expect_sound(kBackends);
  expect_sound(kComputeDtypes);
  expect_sound(kAdapterDtypes);
  expect_sound(kCommunicators);
  expect_sound(kBaseDevices);
  expect_sound(kRecomputes);
  expect_sound(kSchedules);
  expect_sound(kTrainOn);
  expect_sound(kOverlong);
  expect_sound(kBadRows);
  expect_sound(kMetrics);
}

}  // namespace
}  // namespace lora_dist::words_test
