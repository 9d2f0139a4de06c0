// A build without CUDA: there is no device.
#include <cstring>

#include "kernels/common/check.h"
#include "kernels/common/device.h"

namespace lora_dist {

namespace {

[[noreturn]] void refuse() { throw DeviceError(DeviceProblem::no_device, why_no_device()); }

}  // namespace

int device_count() noexcept { return 0; }
std::string why_no_device() {
  return "this program was built without CUDA; build it where nvcc is (make cuda says what is missing)";
}
std::string cuda_version() { return "none"; }
DeviceInfo use_device(int /*index*/) { refuse(); }
std::int64_t free_device_bytes() { refuse(); }
void* allocate_device(std::size_t /*bytes*/) { refuse(); }
void free_device(void* /*memory*/) noexcept {}
void* allocate_pinned(std::size_t /*bytes*/) { refuse(); }
void free_pinned(void* /*memory*/) noexcept {}
Stream make_device_stream() { refuse(); }
void destroy_device_stream(Stream& /*stream*/) noexcept {}
void synchronize(const Stream& /*stream*/) {}
void watch_waits(const Stream& /*stream*/, std::function<void()> /*check*/) {}
std::int64_t operator_scratch_bytes(const Stream& /*stream*/) { return 0; }

void copy_bytes(void* to, const void* from, std::size_t bytes, const Stream& stream) {
  if (bytes > 0 && !stream.is_dry()) {
    std::memcpy(to, from, bytes);
  }
}

DeviceEvent::DeviceEvent() = default;
DeviceEvent::~DeviceEvent() = default;
void DeviceEvent::record(const Stream& /*stream*/) {}
void DeviceEvent::stream_wait(const Stream& /*stream*/) const {}
bool DeviceEvent::past() const { return true; }
void DeviceEvent::wait(const Stream& /*stream*/) const {}

}  // namespace lora_dist
