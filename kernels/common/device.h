// The accelerator as plain functions: what it is, its memory, its streams and events. device_cuda.cu in a build with CUDA,
// device_absent.cpp in one without (where no device is ever found and the rest throws).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

#include "kernels/common/stream.h"

namespace lora_dist {

enum class DeviceProblem : std::uint8_t { no_device, old_driver, no_code_for_chip, out_of_memory, failed };

/// What the device or its driver said, in a sentence with what to do. `failed` also covers ECC errors and a device that fell off
/// the bus: nothing that it holds can be trusted then.
class DeviceError : public std::runtime_error {
 public:
  DeviceError(DeviceProblem problem, const std::string& message) : std::runtime_error(message), problem_(problem) {}
  DeviceProblem problem() const { return problem_; }

 private:
  DeviceProblem problem_;
};

struct DeviceInfo {
  int index = 0;
  std::string name;
  int capability = 0;  // 10 * major + minor: 90 for Hopper
  int multiprocessors = 0;
  std::int64_t total_bytes = 0;
  std::int64_t free_bytes = 0;

  bool has_bf16() const { return capability >= 80; }
};

/// How many devices this process may use; 0 where there is no driver. Never throws.
int device_count() noexcept;
/// Why device_count() is 0, as a sentence; empty where there is a device.
std::string why_no_device();

/// "13.0, driver 13.1, devices 2" (or "driver none, devices 0"); "none" in a build without CUDA. Devices: device_count().
std::string cuda_version();

/// Makes device `index` this thread's own and runs an empty kernel on it. Throws DeviceError: no_device, old_driver (older than
/// the runtime), no_code_for_chip.
DeviceInfo use_device(int index);
/// Free bytes of the current device.
std::int64_t free_device_bytes();

/// Throw DeviceError(out_of_memory) with the bytes asked for and those free.
void* allocate_device(std::size_t bytes);
void free_device(void* memory) noexcept;
/// Host memory that the device copies from and to without staging.
void* allocate_pinned(std::size_t bytes);
void free_pinned(void* memory) noexcept;

/// A stream of the current device, as the last argument of operators. One thread may use it at a time.
Stream make_device_stream();
void destroy_device_stream(Stream& stream) noexcept;
/// Waits until everything launched on the stream is done; throws what went wrong with it. Nothing to do on the CPU.
void synchronize(const Stream& stream);
/// From now on `check` is called again and again while the host waits for the stream. It throws when what the stream waits for
/// will never come, since a wait inside CUDA would not hear of it (another rank is gone). An empty one ends that.
void watch_waits(const Stream& stream, std::function<void()> check);
/// Bytes that the stream's operators hold for themselves (products' workspace, partial sums); 0 on the CPU.
std::int64_t operator_scratch_bytes(const Stream& stream);

/// In stream order, between any two of pinned host memory and device. Other host memory may be read as late as the stream gets
/// there, or hold the host until then: from_host() and to_host() (kernels/elementwise/copy.h) are for that. On a CPU stream it is
/// memcpy.
void copy_bytes(void* to, const void* from, std::size_t bytes, const Stream& stream);

/// A mark in a stream that another stream, or the host, can wait for.
class DeviceEvent {
 public:
  DeviceEvent();  // costs nothing before it is recorded
  DeviceEvent(const DeviceEvent&) = delete;
  DeviceEvent& operator=(const DeviceEvent&) = delete;
  ~DeviceEvent();

  void record(const Stream& stream);
  /// Work launched on `stream` from now on starts after the mark. An event never recorded is past.
  void stream_wait(const Stream& stream) const;
  /// True when the mark is past. Throws what went wrong before it.
  bool past() const;
  /// Holds the host until the mark is past, asking what watches the stream's waits.
  void wait(const Stream& stream) const;

 private:
  void* handle_ = nullptr;
};

}  // namespace lora_dist
