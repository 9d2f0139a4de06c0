// Shared declarations of the emulator.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace lora_dist::emulation {

/// An environment variable as a number, read on each call so that a test can change it. NAME_RANK1 overrides NAME on rank 1.
std::int64_t setting(const char* name, std::int64_t otherwise);

/// Remembers the error for cudaGetLastError and returns it.
cudaError_t report(cudaError_t error);
/// The device that the calling thread has chosen.
int current_device();
int device_total();
/// Shared memory that a block may have on a chip of this capability once cudaFuncSetAttribute has asked for it.
std::size_t most_shared_bytes();

/// The lock of the emulated devices.
std::recursive_mutex& lock_of_devices();

enum class Memory : std::uint8_t { pageable, pinned, device, freed };
/// The memory of a range; `whole`: the range is within one allocation. freed: device memory after cudaFree.
struct Place {
  Memory memory = Memory::pageable;
  int device = 0;
  bool whole = true;
};
Place place_of(const void* memory, std::size_t bytes);
/// "pageable memory of the host" and the like, for messages.
const char* name_of(Memory memory);

/// The number of allocations of device and pinned memory so far.
std::int64_t allocations_made();

/// Makes device memory accessible for its lifetime.
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
/// Enqueues work; runs it at once unless LORA_DIST_EMULATED_LATE delays it until it must be complete. Work that returns
/// cudaErrorNotReady is retried later, and blocks the work behind it.
cudaError_t enqueue(cudaStream_t stream, std::function<cudaError_t()> work);
/// Runs all work of all streams. Ends the program if a stream can never finish.
cudaError_t drain_all();

}  // namespace lora_dist::emulation
