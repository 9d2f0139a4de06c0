// Properties of the emulated devices, and the runtime's errors.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>

#include "tests/cuda_emulation/emulator.h"

namespace lora_dist::emulation {

namespace {

struct OfThread {
  int device = 0;
  cudaError_t last = cudaSuccess;
};
OfThread& of_thread() {
  static thread_local OfThread made;
  return made;
}

struct ErrorText {
  cudaError_t error;
  const char* name;
  const char* text;
};
constexpr ErrorText kErrors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver", "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorECCUncorrectable, "cudaErrorECCUncorrectable", "uncorrectable ECC error encountered"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorSystemNotReady, "cudaErrorSystemNotReady", "system not yet initialized"},
};

int capability() { return static_cast<int>(setting("LORA_DIST_EMULATED_CAPABILITY", 90)); }
int driver() { return static_cast<int>(setting("LORA_DIST_EMULATED_DRIVER", CUDART_VERSION)); }

// The error if there is no device.
cudaError_t absence() {
  if (driver() < CUDART_VERSION) {
    return cudaErrorInsufficientDriver;
  }
  if (setting("LORA_DIST_EMULATED_NOT_READY", 0) != 0) {
    return cudaErrorSystemNotReady;
  }
  return device_total() == 0 ? cudaErrorNoDevice : cudaSuccess;
}

}  // namespace

std::int64_t setting(const char* name, std::int64_t otherwise) {
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  const char* text = rank == nullptr ? nullptr : std::getenv((std::string(name) + "_RANK" + rank).c_str());
  text = text == nullptr ? std::getenv(name) : text;
  return text == nullptr || *text == '\0' ? otherwise : std::atoll(text);
}

cudaError_t report(cudaError_t error) {
  if (error != cudaSuccess) {
    of_thread().last = error;
  }
  return error;
}

int current_device() { return of_thread().device; }
std::size_t most_shared_bytes() {
  const int chip = capability();
  const int kilobytes = chip < 80 ? 64 : chip == 80 || chip == 87 ? 163 : chip < 90 || chip >= 120 ? 99 : 227;
  return static_cast<std::size_t>(kilobytes) << 10;
}
int device_total() { return static_cast<int>(setting("LORA_DIST_EMULATED_DEVICES", 1)); }

std::recursive_mutex& lock_of_devices() {
  static auto* made = new std::recursive_mutex;  // outlives whatever frees at exit
  return *made;
}

}  // namespace lora_dist::emulation

using namespace lora_dist::emulation;

const char* cudaGetErrorName(cudaError_t error) {
  for (const ErrorText& known : kErrors) {
    if (known.error == error) {
      return known.name;
    }
  }
  return "cudaErrorUnknown";
}

const char* cudaGetErrorString(cudaError_t error) {
  for (const ErrorText& known : kErrors) {
    if (known.error == error) {
      return known.text;
    }
  }
  return "unknown error";
}

cudaError_t cudaGetLastError() {
  const cudaError_t last = of_thread().last;
  of_thread().last = cudaSuccess;
  return last;
}
cudaError_t cudaPeekAtLastError() { return of_thread().last; }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = absence() == cudaSuccess ? device_total() : 0;
  return report(absence());
}

cudaError_t cudaSetDevice(int device) {
  if (absence() != cudaSuccess) {
    return report(absence());
  }
  if (device < 0 || device >= device_total()) {
    return report(cudaErrorInvalidDevice);
  }
  of_thread().device = device;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = of_thread().device;
  return report(absence());
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= device_total()) {
    return report(cudaErrorInvalidDevice);
  }
  *properties = {};
  std::strcpy(properties->name, "emulated");
  std::size_t free_bytes = 0;
  cudaMemGetInfo(&free_bytes, &properties->totalGlobalMem);
  properties->sharedMemPerBlock = std::size_t{48} << 10;
  properties->sharedMemPerBlockOptin = most_shared_bytes();
  properties->major = capability() / 10;
  properties->minor = capability() % 10;
  properties->multiProcessorCount = 4;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp properties;
  const cudaError_t status = cudaGetDeviceProperties(&properties, device);
  if (status != cudaSuccess) {
    return status;
  }
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = properties.multiProcessorCount;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = properties.major;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = properties.minor;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(properties.sharedMemPerBlockOptin);
      return cudaSuccess;
  }
  return report(cudaErrorInvalidValue);
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = driver();
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char* address, int length, int device) {
  if (device < 0 || device >= device_total()) {
    return report(cudaErrorInvalidDevice);
  }
  const std::int64_t first = setting("LORA_DIST_EMULATED_FIRST_DEVICE", 0);  // as when a launcher hides the others
  std::snprintf(address, static_cast<std::size_t>(length), "0000:%02X:00.0", static_cast<unsigned>(first + device));
  return cudaSuccess;
}
