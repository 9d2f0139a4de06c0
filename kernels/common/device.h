// The accelerator as plain functions: its properties, memory, streams and events. device_cuda.cu in a build with CUDA,
// device_absent.cpp without CUDA (finds no device, and all other functions throw). A dry stream has no device: copies, waits and
// events on it do nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

#include "kernels/common/stream.h"

namespace lora_dist {

enum class DeviceProblem : std::uint8_t { no_device, old_driver, no_code_for_chip, out_of_memory, failed };

/// An error of the device or its driver, as a sentence with what to do. `failed` includes ECC errors and a device that fell off
/// the bus: its memory is then unreliable.
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

/// The number of devices that this process may use; 0 without a driver. Never throws.
int device_count() noexcept;
/// Why device_count() is 0, as a sentence; empty if there is a device.
std::string why_no_device();

/// "13.0, driver 13.1, devices 2" (or "driver none, devices 0"); "none" in a build without CUDA. Devices: device_count().
std::string cuda_version();

/// Makes device `index` current for this thread and runs an empty kernel on it. Throws DeviceError: no_device, old_driver (older
/// than the runtime), no_code_for_chip.
DeviceInfo use_device(int index);
/// Free bytes of the current device.
std::int64_t free_device_bytes();

/// Throw DeviceError(out_of_memory) with the bytes requested and the bytes free.
void* allocate_device(std::size_t bytes);
void free_device(void* memory) noexcept;
/// Host memory that the device copies from and to without staging.
void* allocate_pinned(std::size_t bytes);
void free_pinned(void* memory) noexcept;

/// A stream of the current device, as the last argument of operators. One thread may use it at a time.
Stream make_device_stream();
void destroy_device_stream(Stream& stream) noexcept;
/// Waits until all work on the stream is done; throws its errors. No effect on the CPU.
void synchronize(const Stream& stream);
/// Calls `check` repeatedly while the host waits for the stream. It throws when the awaited work can never finish (another rank
/// is gone), which a wait inside CUDA would not notice. An empty function removes it.
void watch_waits(const Stream& stream, std::function<void()> check);
/// Bytes of workspace and partial sums that the stream's operators hold; 0 on the CPU.
std::int64_t operator_scratch_bytes(const Stream& stream);

/// Copies in stream order between device and pinned host memory. Pageable memory may be read late or block the host: use
/// from_host() and to_host() (kernels/elementwise/copy.h) for it. On a CPU stream it is memcpy.
void copy_bytes(void* to, const void* from, std::size_t bytes, const Stream& stream);

/// An event in a stream that another stream or the host can wait for.
class DeviceEvent {
 public:
  DeviceEvent();  // nothing is allocated before record()
  DeviceEvent(const DeviceEvent&) = delete;
  DeviceEvent& operator=(const DeviceEvent&) = delete;
  ~DeviceEvent();

  void record(const Stream& stream);
  /// Work launched on `stream` from now on starts after the event. An event that was never recorded counts as complete.
  void stream_wait(const Stream& stream) const;
  /// True if the event is complete. Throws errors of the work before it.
  bool past() const;
  /// Blocks the host until the event is complete, calling the check of watch_waits().
  void wait(const Stream& stream) const;

 private:
  void* handle_ = nullptr;
};

}  // namespace lora_dist
