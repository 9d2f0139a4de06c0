// The state of a device stream: Stream::handle points to it. Only for .cu files.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <functional>
#include <memory>

#include "kernels/common/check.h"
#include "kernels/common/stream.h"

namespace lora_dist {

/// State that an operator keeps for a stream (a library's handle, chosen algorithms). Made at its first call.
struct CudaExtension {
  CudaExtension() = default;
  CudaExtension(const CudaExtension&) = delete;
  CudaExtension& operator=(const CudaExtension&) = delete;
  virtual ~CudaExtension() = default;
};

struct CudaContext {
  int device = 0;
  int capability = 0;  // 10 * major + minor
  int multiprocessors = 1;
  cudaStream_t stream = nullptr;
  void* scratch = nullptr;  // partial sums of one operator call at a time
  std::size_t scratch_bytes = 0;
  std::size_t extension_bytes = 0;  // device memory that the extensions hold
  std::unique_ptr<CudaExtension> products;
  std::unique_ptr<CudaExtension> attention;
  std::unique_ptr<CudaExtension> from_host;
  std::function<void()> check_while_waiting;  // watch_waits()
};

inline CudaContext& cuda_context(const Stream& stream) {
  require(stream.backend == Backend::cuda && stream.handle != nullptr, "a CUDA operator was given a CPU stream");
  return *static_cast<CudaContext*>(stream.handle);
}

/// Scratch for one operator call, 256-byte aligned. It grows at the first call that needs more (the longest micro-batch); growing
/// waits for the stream.
void* operator_scratch(const Stream& stream, std::size_t bytes);

/// Throws DeviceError unless the status is cudaSuccess; `doing` names the operation ("launching rms_norm").
void check_cuda(cudaError_t status, const char* doing);

}  // namespace lora_dist
