// Memory that several ranks have in their address space.
#include "src/comm/node_memory.h"

#include <gtest/gtest.h>

#include "src/core/error_of.h"
#include "tests/support/thread_ranks.h"

namespace lora_dist::node_memory_test {
namespace {

TEST(NodeMemory, IsOneForAllRanks) {
  test::on_ranks(3, [](Communicator& group) {
    const auto memory = share_node_memory(group, group, 3 * 5000);
    const std::span<std::byte> bytes = memory->bytes();
    ASSERT_EQ(bytes.size(), 15000U);
    for (std::size_t i = 0; i < 5000; ++i) {
      EXPECT_EQ(bytes[static_cast<std::size_t>(group.rank()) * 5000 + i], std::byte{0});
      bytes[static_cast<std::size_t>(group.rank()) * 5000 + i] = static_cast<std::byte>(group.rank() + 1);
    }
    group.barrier();
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      ASSERT_EQ(bytes[i], static_cast<std::byte>(i / 5000 + 1));
    }
  });
}

TEST(NodeMemory, MoreThanThereIsIsOutOfMemory) {
  test::on_ranks(2, [](Communicator& group) {
    const auto error = error_of([&] { share_node_memory(group, group, std::size_t{1} << 60U); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ExitCode::out_of_memory);
    EXPECT_NE(std::string(error->what()).find("that the ranks of a node share"), std::string::npos);
  });
}

/// A group that has its memory would go on, and wait in the next collective of all ranks for one that has none.
TEST(NodeMemory, WhatOneGroupLacksEndsAllGroups) {
  test::on_ranks(5, [](Communicator& world) {
    const int node = world.rank() / 2;  // ranks 0-1, 2-3 and 4
    const std::unique_ptr<Communicator> group = world.split(node);
    const std::size_t bytes = node == 1 ? std::size_t{1} << 60U : std::size_t{4096};
    const auto error = error_of([&] { share_node_memory(*group, world, bytes); });
    ASSERT_TRUE(error) << "rank " << world.rank();
    EXPECT_EQ(error->code(), ExitCode::out_of_memory);
    EXPECT_EQ(error->scope(), ErrorScope::collective);
    EXPECT_EQ(std::string(error->what()).find("rank 2: out of memory: asked for 1.00 EiB"), 0U) << error->what();
  });
}

}  // namespace
}  // namespace lora_dist::node_memory_test
