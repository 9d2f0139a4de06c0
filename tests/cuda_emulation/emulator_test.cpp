// The emulator's guarantees: CUDA's barriers and warps, and crashes where a GPU would fail silently.
#include <cublasLt.h>
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/common/device.h"
#include "kernels/elementwise/copy.h"
#include "tests/cuda_emulation/emulation_fixture.h"

namespace {

using lora_dist::from_host;
using lora_dist::to_host;
using lora_dist::view;
using lora_dist::emulation::DeviceArray;
using lora_dist::emulation::Setting;
using lora_dist::emulation::start;

__global__ void write_indices(int* out) {
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned i = block * blockDim.x * blockDim.y * blockDim.z + thread;
  out[i] = static_cast<int>(i);
}

// Each thread reads another thread's writes from before the barrier, many times.
__global__ void rotate(const float* in, float* out, int rounds) {
  __shared__ float values[256];
  float mine = in[threadIdx.x];
  for (int round = 0; round < rounds; ++round) {
    values[threadIdx.x] = mine;
    __syncthreads();
    mine = values[(threadIdx.x + 1) % blockDim.x];
    __syncthreads();
  }
  out[threadIdx.x] = mine;
}

__global__ void rotate_without_second_barrier(const float* in, float* out, int rounds) {
  __shared__ float values[256];
  float mine = in[threadIdx.x];
  for (int round = 0; round < rounds; ++round) {
    values[threadIdx.x] = mine;
    __syncthreads();
    mine = values[(threadIdx.x + 1) % blockDim.x];
  }
  out[threadIdx.x] = mine;
}

__global__ void half_returns_early(int* out) {
  __shared__ int count;
  if (threadIdx.x % 2 == 1) {
    return;
  }
  if (threadIdx.x == 0) {
    count = 7;
  }
  __syncthreads();
  out[threadIdx.x] = count;
}

__global__ void shuffles(int* out) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  int* row = out + threadIdx.x * 6;
  row[0] = __shfl_xor_sync(0xFFFFFFFFU, lane, 5);
  row[1] = __shfl_down_sync(0xFFFFFFFFU, lane, 3U);
  row[2] = __shfl_up_sync(0xFFFFFFFFU, lane, 3U);
  row[3] = __shfl_sync(0xFFFFFFFFU, lane, 9, 8);
  row[4] = static_cast<int>(__ballot_sync(0xFFFFFFFFU, lane % 4 == 0 ? 1 : 0));
  __syncwarp();
  row[5] = __shfl_xor_sync(0xFFFFFFFFU, row[1], 1);
}

__global__ void lane_is_missing(int* out) {
  if (threadIdx.x == 5) {
    return;
  }
  out[threadIdx.x] = __shfl_xor_sync(0xFFFFFFFFU, 1, 1);
}

__global__ void count_all(unsigned* count) { atomicAdd(count, 1U); }

__global__ void write_at(int* out, int i) { out[i] = 1; }

__global__ void dynamic(float* out, int i) {
  LORA_DIST_DYNAMIC_SHARED(float, values);
  out[0] = values[i];
  values[i] = 1.0F;
  out[1] = values[i];
}

TEST(Emulator, EveryThreadRunsOnce) {
  for (const char* order : {"", "reverse", "shuffle"}) {
    const Setting setting("LORA_DIST_EMULATED_ORDER", order);
    const DeviceArray<int> out(5 * 3 * 2 * 7 * 3 * 2);
    ASSERT_EQ(start(write_indices, dim3(5, 3, 2), dim3(7, 3, 2), 0, out.data()), cudaSuccess);
    std::vector<int> expected(5 * 3 * 2 * 7 * 3 * 2);
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(out.values(), expected) << order;
  }
}

TEST(Emulator, BarriersHoldInEveryOrder) {
  std::vector<float> in(256);
  std::iota(in.begin(), in.end(), 0.0F);
  const DeviceArray<float> device_in(in);
  for (const char* order : {"", "reverse", "shuffle"}) {
    const Setting setting("LORA_DIST_EMULATED_ORDER", order);
    const DeviceArray<float> out(256);
    ASSERT_EQ(start(rotate, dim3(1), dim3(256), 0, device_in.data(), out.data(), 20), cudaSuccess);
    const std::vector<float> values = out.values();
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(values[i], static_cast<float>((i + 20) % 256)) << order;
    }
  }
}

TEST(Emulator, AMissingBarrierChangesResults) {
  std::vector<float> in(256);
  std::iota(in.begin(), in.end(), 0.0F);
  const DeviceArray<float> device_in(in);
  const auto run = [&](const char* order) {
    const Setting setting("LORA_DIST_EMULATED_ORDER", order);
    const DeviceArray<float> out(256);
    EXPECT_EQ(start(rotate_without_second_barrier, dim3(1), dim3(256), 0, device_in.data(), out.data(), 20), cudaSuccess);
    return out.values();
  };
  EXPECT_NE(run(""), run("reverse"));
  EXPECT_NE(run(""), run("shuffle"));
}

TEST(Emulator, ThreadsThatReturnedDoNotHoldUpABarrier) {
  const DeviceArray<int> out(std::vector<int>(64, 0));
  ASSERT_EQ(start(half_returns_early, dim3(1), dim3(64), 0, out.data()), cudaSuccess);
  const std::vector<int> values = out.values();
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(values[i], i % 2 == 0 ? 7 : 0);
  }
}

TEST(Emulator, ShufflesFollowTheCudaGuide) {
  for (const char* order : {"", "reverse", "shuffle"}) {
    const Setting setting("LORA_DIST_EMULATED_ORDER", order);
    const DeviceArray<int> out(64 * 6);
    ASSERT_EQ(start(shuffles, dim3(1), dim3(64), 0, out.data()), cudaSuccess);
    const std::vector<int> values = out.values();
    for (int i = 0; i < 64; ++i) {
      const int lane = i % 32;
      const int* row = &values[static_cast<std::size_t>(i) * 6];
      EXPECT_EQ(row[0], lane ^ 5);
      EXPECT_EQ(row[1], lane + 3 < 32 ? lane + 3 : lane);
      EXPECT_EQ(row[2], lane >= 3 ? lane - 3 : lane);
      EXPECT_EQ(row[3], lane / 8 * 8 + 1);
      EXPECT_EQ(row[4], 0x11111111);
      EXPECT_EQ(row[5], (lane ^ 1) + 3 < 32 ? (lane ^ 1) + 3 : lane ^ 1);
    }
  }
}

TEST(EmulatorDeathTest, ALaneThatIsMissingAtAnIntrinsicEndsTheProgram) {
  const DeviceArray<int> out(32);
  EXPECT_DEATH(start(lane_is_missing, dim3(1), dim3(32), 0, out.data()),
               "lanes are missing at __shfl_xor_sync[^\n]*(\n.*)*lane 5: returned");
}

TEST(Emulator, AtomicsCountEveryThread) {
  const DeviceArray<unsigned> count(std::vector<unsigned>{0});
  ASSERT_EQ(start(count_all, dim3(10), dim3(100), 0, count.data()), cudaSuccess);
  EXPECT_EQ(count.values()[0], 1000U);
}

TEST(Emulator, SharedMemoryStartsAsNaN) {
  const DeviceArray<float> out(2);
  ASSERT_EQ(start(dynamic, dim3(1), dim3(1), 64, out.data(), 15), cudaSuccess);
  EXPECT_TRUE(std::isnan(out.values()[0]));
  EXPECT_EQ(out.values()[1], 1.0F);
  EXPECT_EQ(start(dynamic, dim3(1), dim3(1), 49 << 10, out.data(), 0), cudaErrorInvalidValue);
  ASSERT_EQ(cudaFuncSetAttribute(dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 49 << 10), cudaSuccess);
  EXPECT_EQ(start(dynamic, dim3(1), dim3(1), 49 << 10, out.data(), 0), cudaSuccess);
}

TEST(EmulatorDeathTest, SharedMemoryEnds) {
  const DeviceArray<float> out(2);
  EXPECT_DEATH(start(dynamic, dim3(1), dim3(1), 64, out.data(), 16), "");
}

TEST(EmulatorDeathTest, TheHostCannotTouchDeviceMemory) {
  const DeviceArray<int> out(std::vector<int>{1, 2, 3});
  EXPECT_DEATH(*const_cast<volatile int*>(out.data()) = 1, "the host touched device memory|AddressSanitizer");
  const Setting open("LORA_DIST_EMULATED_OPEN", "1");
  EXPECT_EQ(out.values()[2], 3);  // a copy opens it, and leaves it so
  EXPECT_EQ(out.data()[0], 1);
}

TEST(EmulatorDeathTest, AKernelCannotLeaveItsMemory) {
  const DeviceArray<int> out(64);
  EXPECT_EQ(start(write_at, dim3(1), dim3(1), 0, out.data(), 63), cudaSuccess);
  EXPECT_DEATH(start(write_at, dim3(1), dim3(1), 0, out.data(), 64), "a kernel left its memory|AddressSanitizer");
}

TEST(EmulatorDeathTest, AWriteIntoTheSlackBehindAnAllocationIsFound) {
  EXPECT_DEATH(
      {
        const DeviceArray<int> out(1);
        start(write_at, dim3(1), dim3(1), 0, out.data(), 1);
      },
      "past the end of an allocation of 4 bytes");
}

TEST(Emulator, AKernelIsGivenItsDevicesMemoryOnly) {
  std::vector<int> host(1);
  EXPECT_EQ(start(write_at, dim3(1), dim3(1), 0, host.data(), 0), cudaErrorIllegalAddress);
  int* pinned = nullptr;
  ASSERT_EQ(cudaMallocHost(&pinned, sizeof(int)), cudaSuccess);
  EXPECT_EQ(start(write_at, dim3(1), dim3(1), 0, pinned, 0), cudaSuccess);
  EXPECT_EQ(*pinned, 1);
  cudaFreeHost(pinned);
}

TEST(Emulator, MemoryRunsOut) {
  const Setting memory("LORA_DIST_EMULATED_MEMORY", "100000");
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  ASSERT_EQ(cudaMemGetInfo(&free_bytes, &total_bytes), cudaSuccess);
  EXPECT_EQ(total_bytes, 100000U);
  const DeviceArray<char> most(free_bytes - 100);
  void* more = nullptr;
  EXPECT_EQ(cudaMalloc(&more, 101), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&more, 100), cudaSuccess);
  EXPECT_EQ(cudaFree(more), cudaSuccess);
}

TEST(Emulator, ALateStreamRunsWhenSomebodyWaits) {
  const Setting late("LORA_DIST_EMULATED_LATE", "1");
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  cudaStream_t other = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking), cudaSuccess);
  cudaEvent_t event = nullptr;
  ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  int* pinned = nullptr;
  ASSERT_EQ(cudaMallocHost(&pinned, sizeof(int)), cudaSuccess);
  *pinned = 0;
  const DeviceArray<int> device(std::vector<int>{42});
  ASSERT_EQ(cudaMemcpyAsync(pinned, device.data(), sizeof(int), cudaMemcpyDefault, stream), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(event, stream), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(other, event, 0), cudaSuccess);
  EXPECT_EQ(*pinned, 0);
  EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
  EXPECT_EQ(cudaStreamSynchronize(other), cudaSuccess);
  EXPECT_EQ(*pinned, 42);
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
  cudaFreeHost(pinned);
  cudaEventDestroy(event);
  cudaStreamDestroy(other);
  cudaStreamDestroy(stream);
}

// Column-major: [2, 3] times the transpose of [2, 3].
TEST(Emulator, ProductsOfColumnMajorMatrices) {
  const DeviceArray<float> a(std::vector<float>{1, 2, 3, 4, 5, 6});
  const DeviceArray<float> b(std::vector<float>{1, 0, 0, 1, 1, 1});
  const DeviceArray<float> d(std::vector<float>{1, 1, 1, 1});
  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t layout = nullptr;
  cublasLtMatrixLayout_t d_layout = nullptr;
  cublasLtCreate(&handle);
  cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  const cublasOperation_t turned = CUBLAS_OP_T;
  cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSB, &turned, sizeof(turned));
  cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 2, 3, 2);
  cublasLtMatrixLayoutCreate(&d_layout, CUDA_R_32F, 2, 2, 2);
  const float alpha = 2.0F;
  const float beta = 10.0F;
  ASSERT_EQ(cublasLtMatmul(handle, operation, &alpha, a.data(), layout, b.data(), layout, &beta, d.data(), d_layout, d.data(),
                           d_layout, nullptr, nullptr, 0, nullptr),
            CUBLAS_STATUS_SUCCESS);
  // op(A) op(B) = [1 3 5; 2 4 6] [1 0; 0 1; 1 1] = [6 8; 8 10]
  EXPECT_EQ(d.values(), (std::vector<float>{22, 26, 26, 30}));
  cublasLtMatrixLayoutDestroy(d_layout);
  cublasLtMatrixLayoutDestroy(layout);
  cublasLtMatmulDescDestroy(operation);
  cublasLtDestroy(handle);
}

// from_host returns at once even if the GPU reads pageable memory directly and late.
TEST(Emulator, ASourceMayChangeAfterFromHostOnEveryKindOfMachine) {
  const Setting late("LORA_DIST_EMULATED_LATE", "1");
  const Setting pageable("LORA_DIST_EMULATED_PAGEABLE", "1");
  lora_dist::Stream stream = lora_dist::make_device_stream();
  constexpr std::size_t kCount = (std::size_t{20} << 20) / sizeof(float);  // more than the pinned pieces hold
  std::vector<float> values(kCount + 3);
  std::iota(values.begin(), values.end(), 0.0F);
  const std::vector<float> original = values;
  {
    const DeviceArray<float> there(values.size());
    const lora_dist::TensorView on_device = view(std::span<float>(there.data(), values.size()));
    from_host(view(std::span<const float>(values)), on_device, stream);
    std::fill(values.begin(), values.end(), -1.0F);
    to_host(on_device, view(std::span(values)), stream);
    EXPECT_TRUE(values == original);
  }
  lora_dist::destroy_device_stream(stream);
}

}  // namespace
