// What the parts of the emulator share.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace lora_dist::emulation {

/// An environment variable as a number, read anew each time so that a test can change it. NAME_RANK1 goes before NAME on rank 1.
std::int64_t setting(const char* name, std::int64_t otherwise);

/// Remembers the error for cudaGetLastError and returns it.
cudaError_t report(cudaError_t error);
/// The device that the calling thread has chosen.
int current_device();
int device_total();
/// Shared memory that a block may have on a chip of this capability once cudaFuncSetAttribute has asked for it.
std::size_t most_shared_bytes();

/// Held by whoever changes or uses the emulated devices: they do one thing at a time.
std::recursive_mutex& lock_of_devices();

enum class Memory : std::uint8_t { pageable, pinned, device, freed };
/// Where the bytes lie; `whole` tells whether all of them do so within one allocation. freed: device memory until cudaFree.
struct Place {
  Memory memory = Memory::pageable;
  int device = 0;
  bool whole = true;
};
Place place_of(const void* memory, std::size_t bytes);
/// "pageable memory of the host" and the like, for messages.
const char* name_of(Memory memory);

/// How many allocations of device and pinned memory there have been.
std::int64_t allocations_made();

/// Device memory can be touched while one of these lives.
class OpenMemory {
 public:
  OpenMemory();
  OpenMemory(const OpenMemory&) = delete;
  OpenMemory& operator=(const OpenMemory&) = delete;
  ~OpenMemory();
};

struct KernelRun {
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes = 0;
  std::function<void()> thread_body;
};
/// Runs every thread of every block on the calling thread.
void run_blocks(const KernelRun& run);

/// Device of the stream (null: the current device).
int device_of(cudaStream_t stream);
/// Puts work on the stream; runs it at once unless LORA_DIST_EMULATED_LATE asks to wait until somebody must know. Work that
/// returns cudaErrorNotReady is called again later, and what is behind it waits.
cudaError_t enqueue(cudaStream_t stream, std::function<cudaError_t()> work);
/// Everything on every stream. Ends the program where a stream would never be done.
cudaError_t drain_all();

}  // namespace lora_dist::emulation
