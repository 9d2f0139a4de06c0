// Checks kernel arguments: null, pinned memory, and memory of the stream's device are valid. With other memory a GPU faults, or
// silently reads host memory if it shares the host's page tables.
#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "tests/cuda_emulation/emulator.h"

namespace lora_dist::emulation {

namespace {

bool fits(const Place& place, cudaStream_t stream) {
  return place.memory == Memory::pinned || (place.memory == Memory::device && place.device == device_of(stream));
}

void tell(const void* memory, const Place& place) {
  std::fprintf(stderr, "emulated CUDA: a kernel was given %p, which is not memory of its device but %s\n", memory,
               place.memory == Memory::device ? "that of another" : name_of(place.memory));
}

// Whether the address is mapped; other values are not addresses.
bool is_mapped(std::uintptr_t address) {
  constexpr std::uintptr_t kPage = 4096;
  unsigned char in_core = 0;
  return mincore(reinterpret_cast<void*>(address / kPage * kPage), 1, &in_core) == 0 || errno != ENOMEM;  // NOLINT
}

// Tells addresses from numbers in a struct: this process's addresses are between 64 and 128 TiB, also under AddressSanitizer
// (whose shadow is below); counts are smaller, and pairs of integers rarely hit a mapped page.
bool looks_like_address(std::uintptr_t word) {
  return word >= (std::uintptr_t{1} << 46U) && word < (std::uintptr_t{1} << 47U) && is_mapped(word);
}

}  // namespace

bool reachable(const void* memory, cudaStream_t stream) {
  const std::lock_guard lock(lock_of_devices());
  const Place place = place_of(memory, 0);
  const bool may = memory == nullptr || fits(place, stream);
  if (!may) {
    tell(memory, place);
  }
  return may;
}

bool holds_reachable(const void* argument, std::size_t bytes, cudaStream_t stream) {
  const std::lock_guard lock(lock_of_devices());
  for (std::size_t at = 0; at + sizeof(std::uintptr_t) <= bytes; at += sizeof(std::uintptr_t)) {
    std::uintptr_t word = 0;
    std::memcpy(&word, static_cast<const char*>(argument) + at, sizeof word);
    const auto* memory = reinterpret_cast<const void*>(word);  // NOLINT(performance-no-int-to-ptr)
    if (looks_like_address(word) && !reachable(memory, stream)) {
      return false;
    }
  }
  return true;
}

}  // namespace lora_dist::emulation
