// Arenas: their records, and Memory::none.
#include "src/core/arena.h"

#include <gtest/gtest.h>

#include "src/core/error.h"

namespace lora_dist::arena_test {
namespace {

TEST(Arena, NotesWhatWasTaken) {
  Arena arena;
  const auto zeros = arena.take_zeroed<std::int64_t>(MemoryKind::adapters, "sums", 3);
  EXPECT_EQ(zeros[2], 0);
  arena.take<float>(MemoryKind::scratch, "empty", 0);
  ASSERT_EQ(arena.items().size(), 2U);
  EXPECT_EQ(arena.items()[0].bytes, 24);
  EXPECT_EQ(arena.items()[1].bytes, 0);
  EXPECT_TRUE(arena.holds_memory());
}

/// A hundred times 100 GB: more than any machine here has.
TEST(Arena, NowhereTakesAddressesAlone) {
  const std::int64_t before = peak_resident_bytes();
  for (const Backend backend : {Backend::cpu, Backend::cuda}) {
    Stream stream;
    stream.backend = backend;  // uses no device
    Arena arena(stream, Arena::Memory::none);
    EXPECT_FALSE(arena.holds_memory());
    const float* last = nullptr;
    for (int i = 0; i < 100; ++i) {
      const auto taken = arena.take_zeroed<float>(MemoryKind::windows, "large", 25'000'000'000);
      EXPECT_NE(taken.data(), last);
      last = taken.data();
    }
    EXPECT_EQ(sum_by_kind(arena.items()).back(), 10'000'000'000'000);
  }
  EXPECT_LT(peak_resident_bytes() - before, 50'000'000);
}

TEST(Arena, ReleasesWhatWasTakenAfterAMark) {
  Arena arena;
  const auto kept = arena.take_zeroed<float>(MemoryKind::adapters, "kept", 5);
  const Arena::Mark mark = arena.mark();
  arena.take<float>(MemoryKind::scratch, "freed", 7);
  arena.count(MemoryKind::scratch, "held elsewhere", 9);
  arena.release_after(mark);
  ASSERT_EQ(arena.items().size(), 1U);
  EXPECT_EQ(arena.items()[0].name, "kept");
  EXPECT_EQ(kept[4], 0.0F);
  const auto again = arena.take_zeroed<float>(MemoryKind::scratch, "again", 7);
  EXPECT_EQ(again[6], 0.0F);
  EXPECT_EQ(arena.items().size(), 2U);
}

TEST(Arena, MoreThanAddressesIsOutOfMemory) {
  Arena arena(Stream{}, Arena::Memory::none);
  try {
    arena.take<float>(MemoryKind::windows, "a window", std::int64_t{1} << 55);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::out_of_memory);
    EXPECT_NE(std::string(error.what()).find("for a window"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace lora_dist::arena_test
