// Collectives that are counted and move nothing.
#include "src/comm/counting.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/common/check.h"

namespace lora_dist::counting_test {
namespace {

TEST(Counting, CallsAndBytesOfEachKind) {
  CountingCommunicator group({.rank = 1, .size = 4});
  EXPECT_EQ(group.rank(), 1);
  EXPECT_EQ(group.size(), 4);
  std::vector<std::byte> mine(10);
  std::vector<std::byte> all(40, std::byte{7});
  group.all_gather(mine, all, WireKind::base_gather);
  group.start_all_gather(mine, all, WireKind::tensor_activation)->wait();
  EXPECT_EQ(all[0], std::byte{7});
  const TensorView halves{nullptr, DType::bf16, {8, 2}};
  group.all_reduce_sum(halves, WireKind::tensor_activation);
  group.start_all_reduce_sum(halves, WireKind::tensor_activation)->wait();
  group.reduce_scatter_sum(halves, WireKind::tensor_activation);
  std::vector<std::int64_t> numbers(3);
  group.all_reduce(numbers, Reduce::sum, WireKind::adapter_gradient);
  EXPECT_EQ(group.count(), (CollectiveCount{3, 32 + 32 + 24, 1, 32, 2, 20}));
  EXPECT_EQ(group.count().bytes(), 88 + 32 + 20);
  EXPECT_EQ(group.wire()[WireKind::base_gather], 10);
  EXPECT_EQ(group.wire()[WireKind::tensor_activation], 10 + 3 * 32);
  EXPECT_EQ(group.wire()[WireKind::adapter_gradient], 24);
  const CollectiveCount before = group.count();
  group.all_gather(mine, all, WireKind::base_gather);
  EXPECT_EQ(group.count() - before, (CollectiveCount{0, 0, 0, 0, 1, 10}));
}

TEST(Counting, SumsThroughTheHostAreOfFloats) {
  CountingCommunicator group({.rank = 0, .size = 2, .sums_in_f32 = true});
  const TensorView halves{nullptr, DType::f16, {6}};
  group.all_reduce_sum(halves, WireKind::tensor_activation);
  group.reduce_scatter_sum(halves, WireKind::tensor_activation);
  EXPECT_EQ(group.count(), (CollectiveCount{1, 24, 1, 24, 0, 0}));
}

TEST(Counting, SizesAreCheckedAsByATransport) {
  CountingCommunicator group({.rank = 0, .size = 2});
  std::vector<std::byte> bytes(10);
  std::vector<double> numbers(1);
  EXPECT_THROW(group.all_gather(bytes, bytes, WireKind::control), KernelError);
  EXPECT_THROW(group.reduce_scatter_sum({nullptr, DType::f32, {3}}, WireKind::control), KernelError);
  EXPECT_THROW(group.all_reduce(numbers, Reduce::sum, WireKind::control), KernelError);
  EXPECT_THROW(group.split(0), KernelError);
  EXPECT_EQ(group.count(), CollectiveCount{});
}

}  // namespace
}  // namespace lora_dist::counting_test
