// The emulator's checks of memory passed to kernels and copies.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/common/device.h"
#include "tests/cuda_emulation/emulation_fixture.h"

namespace {

using lora_dist::view;
using lora_dist::emulation::DeviceArray;
using lora_dist::emulation::Setting;
using lora_dist::emulation::start;

struct Written {
  std::int64_t count = 0;
  int* out = nullptr;
  float table[8] = {};
};

__global__ void write_one(int* out) { out[0] = 1; }
__global__ void write_held(Written held) { held.out[held.count] = 1; }

Written held_at(int* out) { return {0, out, {0.5F, -1.0F, 3e38F, 1e-40F}}; }

// One test per kind of invalid memory, as an argument and inside a struct.
void expect_refused(int* memory, const std::string& what) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(start(write_one, dim3(1), dim3(1), 0, memory), cudaErrorIllegalAddress);
  EXPECT_NE(testing::internal::GetCapturedStderr().find(what), std::string::npos);
  testing::internal::CaptureStderr();
  EXPECT_EQ(start(write_held, dim3(1), dim3(1), 0, held_at(memory)), cudaErrorIllegalAddress);
  EXPECT_NE(testing::internal::GetCapturedStderr().find(what), std::string::npos);
}

TEST(EmulatedMemory, AStructOfDeviceAndPinnedMemoryAndOfNumbersIsTaken) {
  const DeviceArray<int> out(1);
  EXPECT_EQ(start(write_held, dim3(1), dim3(1), 0, held_at(out.data())), cudaSuccess);
  EXPECT_EQ(out.values()[0], 1);
  int* pinned = nullptr;
  ASSERT_EQ(cudaMallocHost(&pinned, sizeof(int)), cudaSuccess);
  *pinned = 0;
  EXPECT_EQ(start(write_held, dim3(1), dim3(1), 0, held_at(pinned)), cudaSuccess);
  EXPECT_EQ(*pinned, 1);
  cudaFreeHost(pinned);
}

TEST(EmulatedMemory, AKernelIsNotGivenPageableMemory) {
  std::vector<int> host(1);
  expect_refused(host.data(), "not memory of its device but pageable memory of the host");
  EXPECT_EQ(host[0], 0);
}

TEST(EmulatedMemory, AKernelIsNotGivenFreedMemory) {
  int* freed = nullptr;
  ASSERT_EQ(cudaMalloc(&freed, sizeof(int)), cudaSuccess);
  ASSERT_EQ(cudaFree(freed), cudaSuccess);
  const DeviceArray<int> another(1);  // does not come to lie there
  expect_refused(freed, "not memory of its device but device memory that was freed");
}

TEST(EmulatedMemory, AKernelIsNotGivenAnotherDevicesMemory) {
  const Setting devices("LORA_DIST_EMULATED_DEVICES", "2");
  const DeviceArray<int> there(1);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  expect_refused(there.data(), "not memory of its device but that of another");
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
}

TEST(EmulatedMemoryDeathTest, TheHostCannotTouchFreedMemory) {
  int* freed = nullptr;
  ASSERT_EQ(cudaMalloc(&freed, sizeof(int)), cudaSuccess);
  ASSERT_EQ(cudaFree(freed), cudaSuccess);
  EXPECT_DEATH(*const_cast<volatile int*>(freed) = 1, "the host touched device memory that was freed|AddressSanitizer");
}

TEST(EmulatedMemory, ACopyGoesTheWayThatItIsTold) {
  const DeviceArray<int> device(std::vector<int>{1});
  const DeviceArray<int> other(1);
  std::vector<int> host(1);
  std::vector<int> host2(1);
  const auto copy = [](int* to, const int* from, cudaMemcpyKind kind) { return cudaMemcpy(to, from, sizeof(int), kind); };
  EXPECT_EQ(copy(host.data(), device.data(), cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(copy(device.data(), host.data(), cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(copy(other.data(), device.data(), cudaMemcpyDeviceToDevice), cudaSuccess);
  EXPECT_EQ(copy(host2.data(), host.data(), cudaMemcpyHostToHost), cudaSuccess);
  testing::internal::CaptureStderr();
  EXPECT_EQ(copy(host.data(), device.data(), cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(device.data(), host.data(), cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy(device.data(), host.data(), cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(host.data(), device.data(), cudaMemcpyHostToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy(host2.data(), host.data(), cudaMemcpyDefault), cudaErrorInvalidValue);
  EXPECT_NE(testing::internal::GetCapturedStderr().find(
                "a copy of 4 bytes goes another way than it was told: from device memory to pageable memory of the host"),
            std::string::npos);
}

TEST(EmulatedMemory, ACopyIsNotAboutFreedMemory) {
  int* freed = nullptr;
  ASSERT_EQ(cudaMalloc(&freed, sizeof(int)), cudaSuccess);
  ASSERT_EQ(cudaFree(freed), cudaSuccess);
  int host = 0;
  testing::internal::CaptureStderr();
  EXPECT_EQ(cudaMemcpy(&host, freed, sizeof(int), cudaMemcpyDefault), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(freed, &host, sizeof(int), cudaMemcpyDefault), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(freed, 0, sizeof(int)), cudaErrorInvalidValue);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("is about memory that was freed"), std::string::npos);
}

TEST(EmulatedMemory, ABlockMayHaveWhatTheChipHasOfSharedMemory) {
  const auto ask = [](int kilobytes) {
    return cudaFuncSetAttribute(write_one, cudaFuncAttributeMaxDynamicSharedMemorySize, kilobytes << 10);
  };
  const Setting chip("LORA_DIST_EMULATED_CAPABILITY", "75");
  EXPECT_EQ(ask(65), cudaErrorInvalidValue);
  EXPECT_EQ(ask(64), cudaSuccess);
}

// Host memory passed with a CUDA stream.
TEST(EmulatedMemory, AttentionOverACacheOnTheHostIsFound) {
  lora_dist::Stream stream = lora_dist::make_device_stream();
  {
    const DeviceArray<float> q(std::vector<float>(4, 1.0F));
    const DeviceArray<float> out(4);
    const DeviceArray<float> log_sum_exp(1);
    const DeviceArray<std::int32_t> starts(std::vector<std::int32_t>{0, 1});
    std::vector<float> cache(4, 1.0F);
    const lora_dist::AttentionShape shape{1, 1, 4, 1.0F};
    const auto attend = [&](float* k) {
      lora_dist::attention({.q = view(q.data(), {1, 4}),
                            .k = view(k, {1, 4}),
                            .v = view(q.data(), {1, 4}),
                            .cu_seqlens_q = view(starts.data(), {2}),
                            .cu_seqlens_k = view(starts.data(), {2}),
                            .shape = shape,
                            .out = view(out.data(), {1, 4}),
                            .log_sum_exp = view(log_sum_exp.data(), {1, 1})},
                           stream);
    };
    EXPECT_NO_THROW(attend(q.data()));
    EXPECT_THROW(attend(cache.data()), lora_dist::DeviceError);
  }
  lora_dist::destroy_device_stream(stream);
}

}  // namespace
