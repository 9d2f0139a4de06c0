// The device through the CUDA run time.
#include <chrono>
#include <cstring>
#include <new>
#include <string>
#include <thread>
#include <utility>

#include "kernels/common/cublaslt.h"
#include "kernels/common/cuda_kernel.h"
#include "kernels/common/device.h"

namespace lora_dist {

namespace {

std::string version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

std::string old_driver_text() {
  int driver = 0;
  int runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (driver == 0) {  // the run time's value without a driver
    return "no NVIDIA driver was found (does nvidia-smi run? in a container, is the GPU passed into it?)";
  }
  return "the driver is for CUDA " + version_text(driver) + ", this program needs " + version_text(runtime) +
         " or newer; update the driver, or build with an older toolkit";
}

/// "90" or "75, 90": the architectures that the build has code for, in the order given to CMake.
std::string built_for() {
  std::string list;
  for (const int architecture : {__CUDA_ARCH_LIST__}) {  // nvcc's: 750, 900
    list += (list.empty() ? "" : ", ") + std::to_string(architecture / 10);
  }
  return list;
}

/// An empty kernel: its launch shows that the build has code for the chip.
__global__ void empty_kernel() {}

}  // namespace

void check_cuda(cudaError_t status, const char* doing) {
  if (status == cudaSuccess) {
    return;
  }
  const std::string reason = std::string(doing) + ": " + cudaGetErrorName(status) + ", " + cudaGetErrorString(status);
  if (status == cudaErrorMemoryAllocation) {
    throw DeviceError(DeviceProblem::out_of_memory, "out of memory on the GPU in " + reason);
  }
  if (status == cudaErrorInsufficientDriver) {
    throw DeviceError(DeviceProblem::old_driver, old_driver_text());
  }
  throw DeviceError(DeviceProblem::failed,
                    "the GPU failed in " + reason +
                        "; look for Xid or ECC messages (nvidia-smi -q, the kernel's log) and start again from "
                        "the last checkpoint on another GPU");
}

int device_count() noexcept {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

std::string why_no_device() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorInsufficientDriver) {
    return old_driver_text();
  }
  if (status != cudaSuccess && status != cudaErrorNoDevice) {  // a fabric manager that is not up, drivers of two versions
    return std::string("the GPUs cannot be used: ") + cudaGetErrorString(status) + " (" + cudaGetErrorName(status) +
           (status == cudaErrorSystemNotReady ? "; on machines with NVSwitch nvidia-fabricmanager must run)"
                                              : "; try nvidia-smi)");
  }
  if (status != cudaSuccess || count == 0) {
    return "no GPU was found (does nvidia-smi show one, and does CUDA_VISIBLE_DEVICES leave one?)";
  }
  return "";
}

std::string cuda_version() {
  int driver = 0;
  int runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  return version_text(runtime) + ", driver " + (driver > 0 ? version_text(driver) : "none") + ", devices " +
         std::to_string(device_count());
}

DeviceInfo use_device(int index) {
  int count = 0;
  const cudaError_t counted = cudaGetDeviceCount(&count);
  if (counted != cudaSuccess || count == 0) {
    int driver = 0;
    cudaDriverGetVersion(&driver);
    throw DeviceError(counted == cudaErrorInsufficientDriver && driver > 0 ? DeviceProblem::old_driver : DeviceProblem::no_device,
                      why_no_device());
  }
  if (index < 0 || index >= count) {
    throw DeviceError(DeviceProblem::no_device, "there is no GPU " + std::to_string(index) + ", only " + std::to_string(count) +
                                                    " counted from 0 (CUDA_VISIBLE_DEVICES chooses them)");
  }
  check_cuda(cudaSetDevice(index), "taking the device");
  cudaDeviceProp properties = {};
  check_cuda(cudaGetDeviceProperties(&properties, index), "asking for the device's properties");
  DeviceInfo info;
  info.index = index;
  info.name = properties.name;
  info.capability = 10 * properties.major + properties.minor;
  info.multiprocessors = properties.multiProcessorCount;
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  check_cuda(cudaMemGetInfo(&free_bytes, &total_bytes), "asking for the device's memory");
  info.free_bytes = static_cast<std::int64_t>(free_bytes);
  info.total_bytes = static_cast<std::int64_t>(total_bytes);
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(1);
  config.blockDim = dim3(1);
  const cudaError_t status = cudaLaunchKernelEx(&config, empty_kernel);
  if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorUnsupportedPtxVersion) {
    throw DeviceError(DeviceProblem::no_code_for_chip,
                      "this program has no code for " + info.name + " (compute capability " + std::to_string(properties.major) +
                          "." + std::to_string(properties.minor) + "), it was built for " + built_for() +
                          "; build it with -DLORA_DIST_CUDA_ARCHITECTURES=" + std::to_string(info.capability));
  }
  check_cuda(status, "starting a first kernel");
  if (const std::string problem = why_no_cublaslt(); !problem.empty()) {
    throw DeviceError(DeviceProblem::failed, problem);
  }
  check_cuda(cudaDeviceSynchronize(), "running a first kernel");
  return info;
}

std::int64_t free_device_bytes() {
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  check_cuda(cudaMemGetInfo(&free_bytes, &total_bytes), "asking for the device's memory");
  return static_cast<std::int64_t>(free_bytes);
}

void* allocate_device(std::size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // clears the error of the failed allocation
    throw DeviceError(DeviceProblem::out_of_memory, "out of memory on the GPU: asked for " + std::to_string(bytes) + " bytes, " +
                                                        std::to_string(free_device_bytes()) + " are free");
  }
  check_cuda(status, "allocating");
  return memory;
}

void free_device(void* memory) noexcept { cudaFree(memory); }

void* allocate_pinned(std::size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMallocHost(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw DeviceError(DeviceProblem::out_of_memory, "the host could not give " + std::to_string(bytes) +
                                                        " bytes of pinned memory; free some or raise the container's limit");
  }
  check_cuda(status, "allocating pinned host memory");
  return memory;
}

void free_pinned(void* memory) noexcept { cudaFreeHost(memory); }

Stream make_device_stream() {
  auto context = std::make_unique<CudaContext>();
  check_cuda(cudaGetDevice(&context->device), "asking for the device");
  cudaDeviceProp properties = {};
  check_cuda(cudaGetDeviceProperties(&properties, context->device), "asking for the device's properties");
  context->capability = 10 * properties.major + properties.minor;
  context->multiprocessors = properties.multiProcessorCount;
  check_cuda(cudaStreamCreateWithFlags(&context->stream, cudaStreamNonBlocking), "making a stream");
  Stream stream;
  stream.backend = Backend::cuda;
  stream.handle = context.release();
  return stream;
}

void destroy_device_stream(Stream& stream) noexcept {
  if (stream.handle == nullptr) {
    return;
  }
  auto* context = static_cast<CudaContext*>(stream.handle);
  cudaStreamSynchronize(context->stream);
  context->products.reset();
  context->attention.reset();
  context->from_host.reset();
  cudaFree(context->scratch);
  cudaStreamDestroy(context->stream);
  delete context;
  stream = Stream{};
}

void synchronize(const Stream& stream) {
  if (!stream.is_of_device()) {
    return;
  }
  const CudaContext& context = cuda_context(stream);
  if (context.check_while_waiting) {
    DeviceEvent given;
    given.record(stream);
    given.wait(stream);
  }
  check_cuda(cudaStreamSynchronize(context.stream), "waiting for the GPU");
}

void watch_waits(const Stream& stream, std::function<void()> check) {
  cuda_context(stream).check_while_waiting = std::move(check);
}

std::int64_t operator_scratch_bytes(const Stream& stream) {
  if (!stream.is_of_device()) {
    return 0;
  }
  const CudaContext& context = cuda_context(stream);
  return static_cast<std::int64_t>(context.scratch_bytes + context.extension_bytes);
}

void* operator_scratch(const Stream& stream, std::size_t bytes) {
  CudaContext& context = cuda_context(stream);
  if (bytes > context.scratch_bytes) {
    synchronize(stream);  // the old one may be in use
    cudaFree(context.scratch);
    context.scratch = nullptr;
    context.scratch_bytes = 0;
    context.scratch = allocate_device(bytes);
    context.scratch_bytes = bytes;
  }
  return context.scratch;
}

void copy_bytes(void* to, const void* from, std::size_t bytes, const Stream& stream) {
  if (bytes == 0 || stream.is_dry()) {
    return;
  }
  if (stream.backend == Backend::cpu) {
    std::memcpy(to, from, bytes);
    return;
  }
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, cuda_context(stream).stream), "copying");
}

DeviceEvent::DeviceEvent() = default;

DeviceEvent::~DeviceEvent() {
  if (handle_ != nullptr) {
    cudaEventDestroy(static_cast<cudaEvent_t>(handle_));
  }
}

void DeviceEvent::record(const Stream& stream) {
  if (!stream.is_of_device()) {
    return;
  }
  if (handle_ == nullptr) {
    cudaEvent_t event = nullptr;
    check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
    handle_ = event;
  }
  check_cuda(cudaEventRecord(static_cast<cudaEvent_t>(handle_), cuda_context(stream).stream), "recording an event");
}

void DeviceEvent::stream_wait(const Stream& stream) const {
  if (handle_ != nullptr) {
    check_cuda(cudaStreamWaitEvent(cuda_context(stream).stream, static_cast<cudaEvent_t>(handle_), 0), "waiting for an event");
  }
}

bool DeviceEvent::past() const {
  if (handle_ == nullptr) {
    return true;
  }
  const cudaError_t status = cudaEventQuery(static_cast<cudaEvent_t>(handle_));
  if (status == cudaErrorNotReady) {
    return false;
  }
  check_cuda(status, "asking for an event");
  return true;
}

void DeviceEvent::wait(const Stream& stream) const {
  constexpr std::chrono::microseconds kPause(20);
  while (!past()) {
    if (stream.is_of_device() && cuda_context(stream).check_while_waiting) {
      cuda_context(stream).check_while_waiting();
    }
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace lora_dist
