// Ranks on machines: the warning about separated TP ranks, and the requirements of parallel.base_shards = "node".
#include "src/comm/mesh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/core/error_of.h"

namespace lora_dist::mesh_test {
namespace {

using Machines = std::vector<std::string>;

Mesh mesh_of(int data, int tensor) {
  Mesh mesh;
  mesh.data = data;
  mesh.tensor = tensor;
  return mesh;
}

TEST(Mesh, TensorRanksOnSeveralMachinesAreToldWithTheirCost) {
  EXPECT_EQ(tensor_ranks_apart(mesh_of(2, 2), Machines{"a", "a", "b", "b"}, 1 << 20), "");
  const std::string said = tensor_ranks_apart(mesh_of(3, 2), Machines{"a", "a", "a", "b", "b", "b"}, 3 << 20);
  EXPECT_THAT(said, testing::HasSubstr("in 1 of 3 groups the 2 tensor-parallel ranks are on several machines"));
  EXPECT_THAT(said, testing::HasSubstr("four sums of activations a block, of up to 3.00 MiB each"));
}

TEST(Mesh, DataRanksOfANode) {
  EXPECT_EQ(data_ranks_of_node(mesh_of(4, 1), Machines{"a", "a", "b", "b"}), 2);
  EXPECT_EQ(data_ranks_of_node(mesh_of(4, 1), Machines{"a", "a", "a", "a"}), 4);
  EXPECT_EQ(data_ranks_of_node(mesh_of(3, 1), Machines{"a", "b", "c"}), 1);
  EXPECT_EQ(data_ranks_of_node(mesh_of(4, 2), Machines{"a", "a", "a", "a", "b", "b", "b", "b"}), 2);
  EXPECT_EQ(data_ranks_of_node(mesh_of(2, 2), Machines{"a", "b", "a", "b"}), 2);  // slow, but each shares with its own
}

TEST(Mesh, RanksThatDivideTheBase) {
  const Mesh mesh = mesh_of(6, 1);
  EXPECT_EQ(base_shards_of(mesh, {}, 3), 6);  // "auto"
  EXPECT_EQ(base_shards_of(mesh, {BaseShards::Of::all}, 3), 6);
  EXPECT_EQ(base_shards_of(mesh, {BaseShards::Of::node}, 3), 3);
  EXPECT_EQ(base_shards_of(mesh, {BaseShards::Of::count, 2}, 3), 2);
  const auto error = error_of([&] { base_shards_of(mesh, {BaseShards::Of::count, 4}, 3); });
  ASSERT_TRUE(error);
  EXPECT_THAT(error->what(), testing::HasSubstr("parallel.base_shards = \"4\" does not divide the 6 data-parallel ranks"));
}

TEST(Mesh, NodesMustBeAlike) {
  for (const Machines& machines : {Machines{"a", "a", "b"}, Machines{"a", "b", "b"}, Machines{"a", "b", "a"},
                                   Machines{"a", "a", "b", "b", "b", "b"}, Machines{"a", "a", "b", "c"}}) {
    const auto error = error_of([&] { data_ranks_of_node(mesh_of(static_cast<int>(machines.size()), 1), machines); });
    if (machines == Machines{"a", "b", "a"}) {
      EXPECT_FALSE(error);  // one rank a node: nothing is shared
      continue;
    }
    ASSERT_TRUE(error) << testing::PrintToString(machines);
    EXPECT_EQ(error->code(), ExitCode::usage);
    EXPECT_THAT(error->what(),
                testing::HasSubstr("parallel.base_shards = \"node\" needs as many data-parallel ranks on every node"));
    EXPECT_THAT(error->what(), testing::HasSubstr("\"all\""));
  }
  const auto error = error_of([] { data_ranks_of_node(mesh_of(3, 1), Machines{"a", "a", "b"}); });
  EXPECT_THAT(error->what(), testing::HasSubstr("the first node has 2 of the 3"));
}

}  // namespace
}  // namespace lora_dist::mesh_test
