// Streams, events, and their work: kernels, copies, fills. Each stream is a queue that runs on the calling thread: at once, or
// with LORA_DIST_EMULATED_LATE=1 as late as CUDA allows, which reveals missing waits; with 2 only the stream made first is late,
// so that the others run ahead of it.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "tests/cuda_emulation/emulator.h"

namespace lora_dist::emulation {

// Numbered work: everything before `done` has run.
struct Queue {
  std::deque<std::function<cudaError_t()>> work;
  std::uint64_t put = 0;
  std::uint64_t done = 0;
};

}  // namespace lora_dist::emulation

struct CUstream_st {
  int device = 0;
  std::shared_ptr<lora_dist::emulation::Queue> queue;
  bool first = true;  // of those alive when it was made
};
struct CUevent_st {
  std::shared_ptr<lora_dist::emulation::Queue> queue;  // null before it is recorded
  std::uint64_t mark = 0;
};

namespace lora_dist::emulation {

namespace {

struct Streams {
  std::set<CUstream_st*> alive;
  std::map<const void*, std::size_t> shared_allowed;  // by kernel
  std::int64_t launches = 0;
  cudaError_t broken = cudaSuccess;  // a sticky error: every later call returns it
};

Streams& streams() {
  static auto* made = new Streams;  // outlives whatever frees at exit
  return *made;
}

cudaError_t run_until(Queue& queue, std::uint64_t mark) {
  while (queue.done < mark && streams().broken == cudaSuccess) {
    const cudaError_t status = queue.work.front()();
    if (status == cudaErrorNotReady) {
      return status;
    }
    queue.work.pop_front();
    ++queue.done;
    streams().broken = status;
  }
  return streams().broken;
}

// For waits inside the runtime.
cudaError_t finish_until(Queue& queue, std::uint64_t mark) {
  const cudaError_t status = run_until(queue, mark);
  if (status == cudaErrorNotReady) {
    std::fprintf(stderr, "emulated CUDA: the host waits for a stream that will never get there\n");
    std::abort();
  }
  return status;
}

bool late(const CUstream_st& stream) {
  const std::int64_t asked = setting("LORA_DIST_EMULATED_LATE", 0);
  return asked == 1 || (asked == 2 && stream.first);
}

bool on_device(const Place& place) { return place.memory == Memory::device; }

// A wrong direction is also an error on a GPU; between two ranges of pageable memory it would not be, but is not intended.
bool fits_direction(cudaMemcpyKind kind, const Place& source, const Place& target) {
  switch (kind) {
    case cudaMemcpyHostToHost:
      return !on_device(source) && !on_device(target);
    case cudaMemcpyHostToDevice:
      return !on_device(source) && on_device(target);
    case cudaMemcpyDeviceToHost:
      return on_device(source) && !on_device(target);
    case cudaMemcpyDeviceToDevice:
      return on_device(source) && on_device(target);
    case cudaMemcpyDefault:
      return source.memory != Memory::pageable || target.memory != Memory::pageable;
  }
  return false;
}

cudaError_t refuse_copy(std::size_t bytes, const char* why, const Place& source, const Place& target) {
  std::fprintf(stderr, "emulated CUDA: a copy of %zu bytes %s: from %s to %s\n", bytes, why, name_of(source.memory),
               name_of(target.memory));
  return report(cudaErrorInvalidValue);
}

cudaError_t copy(void* to, const void* from, std::size_t bytes) {
  const OpenMemory open;
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}

}  // namespace

int device_of(cudaStream_t stream) { return stream == nullptr ? current_device() : stream->device; }

cudaError_t enqueue(cudaStream_t stream, std::function<cudaError_t()> work) {
  const std::lock_guard lock(lock_of_devices());
  if (streams().broken != cudaSuccess) {
    return report(streams().broken);
  }
  if (stream == nullptr) {  // waits for nothing: all streams here are of the non-blocking kind
    streams().broken = work();
    return report(streams().broken);
  }
  if (!streams().alive.contains(stream)) {
    return report(cudaErrorInvalidResourceHandle);
  }
  stream->queue->work.push_back(std::move(work));
  ++stream->queue->put;
  const cudaError_t status = late(*stream) ? cudaSuccess : run_until(*stream->queue, stream->queue->put);
  return status == cudaErrorNotReady ? cudaSuccess : report(status);
}

cudaError_t drain_all() {
  for (CUstream_st* stream : streams().alive) {
    finish_until(*stream->queue, stream->queue->put);
  }
  return streams().broken;
}

cudaError_t launch_kernel(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> thread_body) {
  const std::lock_guard lock(lock_of_devices());
  const dim3 grid = config.gridDim;
  const dim3 block = config.blockDim;
  const std::size_t threads = std::size_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > 1024 || block.z > 64 || grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7FFFFFFF ||
      grid.y > 65535 || grid.z > 65535) {
    return report(cudaErrorInvalidConfiguration);
  }
  const auto allowed = streams().shared_allowed.find(kernel);
  if (config.dynamicSmemBytes > (allowed == streams().shared_allowed.end() ? std::size_t{48} << 10 : allowed->second)) {
    return report(cudaErrorInvalidValue);
  }
  if (device_of(config.stream) != current_device()) {
    return report(cudaErrorInvalidResourceHandle);
  }
  if (setting("LORA_DIST_EMULATED_CODE", 0) > setting("LORA_DIST_EMULATED_CAPABILITY", 90)) {
    return report(cudaErrorNoKernelImageForDevice);
  }
  ++streams().launches;
  const std::int64_t breaks_at = setting("LORA_DIST_EMULATED_BREAKS_AT", 0);
  const bool breaks = breaks_at > 0 && streams().launches >= breaks_at;
  KernelRun run{grid, block, config.dynamicSmemBytes, std::move(thread_body)};
  return enqueue(config.stream, [run = std::move(run), breaks] {
    if (breaks) {
      return cudaErrorECCUncorrectable;
    }
    const OpenMemory open;
    run_blocks(run);
    return cudaSuccess;
  });
}

}  // namespace lora_dist::emulation

using namespace lora_dist::emulation;

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  const std::lock_guard lock(lock_of_devices());
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
      static_cast<std::size_t>(value) > most_shared_bytes()) {
    return report(cudaErrorInvalidValue);
  }
  streams().shared_allowed[kernel] = static_cast<std::size_t>(value);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const std::lock_guard lock(lock_of_devices());
  if (bytes == 0) {
    return cudaSuccess;
  }
  const Place source = place_of(from, bytes);
  const Place target = place_of(to, bytes);
  if (to == nullptr || from == nullptr || !source.whole || !target.whole) {
    return refuse_copy(bytes, "leaves the memory that it is about", source, target);
  }
  if (source.memory == Memory::freed || target.memory == Memory::freed) {
    return refuse_copy(bytes, "is about memory that was freed", source, target);
  }
  if (!fits_direction(kind, source, target)) {
    return refuse_copy(bytes, "goes another way than it was told", source, target);
  }
  if (source.memory == Memory::pageable && setting("LORA_DIST_EMULATED_PAGEABLE", 0) == 0) {  // staged: it may change at once
    const auto* begin = static_cast<const char*>(from);
    return enqueue(stream,
                   [to, staged = std::vector<char>(begin, begin + bytes)] { return copy(to, staged.data(), staged.size()); });
  }
  const cudaError_t status = enqueue(stream, [to, from, bytes] { return copy(to, from, bytes); });
  return target.memory == Memory::pageable && status == cudaSuccess ? cudaStreamSynchronize(stream) : status;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  const std::lock_guard lock(lock_of_devices());
  if (bytes == 0) {
    return cudaSuccess;
  }
  const Place target = place_of(to, bytes);
  if ((target.memory != Memory::device && target.memory != Memory::pinned) || !target.whole) {
    std::fprintf(stderr, "emulated CUDA: a fill of %zu bytes leaves the memory that it is about\n", bytes);
    return report(cudaErrorInvalidValue);
  }
  return enqueue(stream, [to, value, bytes] {
    const OpenMemory open;
    std::memset(to, value, bytes);
    return cudaSuccess;
  });
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) { return cudaMemsetAsync(to, value, bytes, nullptr); }

cudaError_t cudaDeviceSynchronize() {
  const std::lock_guard lock(lock_of_devices());
  return report(drain_all());
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned /*flags*/) {
  const std::lock_guard lock(lock_of_devices());
  *stream = new CUstream_st{current_device(), std::make_shared<Queue>(), streams().alive.empty()};
  streams().alive.insert(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const std::lock_guard lock(lock_of_devices());
  return report(stream == nullptr ? streams().broken : finish_until(*stream->queue, stream->queue->put));
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard lock(lock_of_devices());
  if (!streams().alive.contains(stream)) {
    return report(cudaErrorInvalidResourceHandle);
  }
  const cudaError_t status = cudaStreamSynchronize(stream);
  streams().alive.erase(stream);
  delete stream;
  return status;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const std::lock_guard lock(lock_of_devices());
  if (stream == nullptr || stream->queue->work.empty()) {
    return report(streams().broken);
  }
  const cudaError_t status = run_until(*stream->queue, stream->queue->done + 1);
  return status == cudaSuccess || status == cudaErrorNotReady ? cudaErrorNotReady : report(status);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned /*flags*/) {
  const std::lock_guard lock(lock_of_devices());
  if (event->queue == nullptr) {
    return cudaSuccess;
  }
  return enqueue(stream, [queue = event->queue, mark = event->mark] { return run_until(*queue, mark); });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned /*flags*/) {
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const std::lock_guard lock(lock_of_devices());
  event->queue = stream == nullptr ? std::make_shared<Queue>() : stream->queue;
  event->mark = event->queue->put;
  return report(streams().broken);
}

// Each query runs one piece of work, so that polling finishes.
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const std::lock_guard lock(lock_of_devices());
  if (event->queue == nullptr || event->queue->done >= event->mark) {
    return report(streams().broken);
  }
  const cudaError_t status = run_until(*event->queue, event->queue->done + 1);
  return status == cudaSuccess || status == cudaErrorNotReady ? cudaErrorNotReady : report(status);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const std::lock_guard lock(lock_of_devices());
  return report(event->queue == nullptr ? streams().broken : finish_until(*event->queue, event->mark));
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
