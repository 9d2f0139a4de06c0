// Memory of the emulated devices: each allocation ends at an unmapped page, and is inaccessible to the host.
#include <sys/mman.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>

#include "tests/cuda_emulation/emulator.h"

namespace lora_dist::emulation {

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kAlignment = 256;  // what cudaMalloc promises
constexpr unsigned char kSlack = 0xA5;

struct Allocation {
  std::size_t bytes = 0;
  Memory memory = Memory::device;
  int device = 0;
  char* mapping = nullptr;  // of device memory: whole pages
  std::size_t mapped = 0;   // without the guard page
};

// Freed device memory, kept inaccessible for a while to detect use after free.
struct Freed {
  char* mapping = nullptr;
  std::size_t mapped = 0;  // with the guard page
};
constexpr std::size_t kMostFreed = 2048;

struct Memories {
  std::map<std::uintptr_t, Allocation> allocations;  // by address
  std::deque<Freed> freed;
  std::vector<std::size_t> used;  // bytes, by device
  int open = 0;
  std::int64_t made = 0;
};

Memories& memories() {
  static auto* made = new Memories;  // outlives whatever frees at exit
  return *made;
}

std::size_t capacity() { return static_cast<std::size_t>(setting("LORA_DIST_EMULATED_MEMORY", std::int64_t{1} << 30)); }

std::size_t& used_on(int device) {
  auto& used = memories().used;
  if (used.size() <= static_cast<std::size_t>(device)) {
    used.resize(static_cast<std::size_t>(device) + 1);
  }
  return used[static_cast<std::size_t>(device)];
}

bool protects() { return setting("LORA_DIST_EMULATED_OPEN", 0) == 0; }

void protect(const Allocation& allocation, int protection) {
  if (mprotect(allocation.mapping, allocation.mapped, protection) != 0) {
    std::perror("emulated CUDA: mprotect");
    std::abort();
  }
}

const std::pair<const std::uintptr_t, Allocation>* find(const void* memory) {
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  auto& allocations = memories().allocations;
  auto next = allocations.upper_bound(address);
  if (next == allocations.begin()) {
    return nullptr;
  }
  --next;
  return address <= next->first + next->second.bytes ? &*next : nullptr;  // one past the end belongs to it
}

bool was_freed(const void* memory) {
  const auto* at = static_cast<const char*>(memory);
  const auto& freed = memories().freed;
  return std::any_of(freed.begin(), freed.end(), [at](const Freed& one) {
    return !std::less<>{}(at, one.mapping) && std::less<>{}(at, one.mapping + one.mapped);
  });
}

void retire(const Allocation& allocation) {
  auto& freed = memories().freed;
  const std::size_t mapped = allocation.mapped + kPage;
  // Releases the pages, keeps the addresses reserved.
  if (mmap(allocation.mapping, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) {
    std::perror("emulated CUDA: mmap");
    std::abort();
  }
  freed.push_back({allocation.mapping, mapped});
  if (freed.size() > kMostFreed) {
    munmap(freed.front().mapping, freed.front().mapped);
    freed.pop_front();
  }
}

#if defined(__SANITIZE_ADDRESS__)

void explain_crashes() {}  // AddressSanitizer has a handler of its own

#else

// Prints the memory that a crash concerns, then continues the crash.
void explain(int signal, siginfo_t* info, void* /*context*/) {
  for (const auto& [start, allocation] : memories().allocations) {
    const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
    const auto mapping = reinterpret_cast<std::uintptr_t>(allocation.mapping);
    if (allocation.memory == Memory::device && address >= mapping && address < mapping + allocation.mapped + kPage) {
      std::fprintf(stderr, "emulated CUDA: %s, at byte %td of %zu of an allocation of device %d\n",
                   memories().open > 0 ? "a kernel left its memory" : "the host touched device memory",
                   static_cast<std::ptrdiff_t>(address - start), allocation.bytes, allocation.device);
    }
  }
  if (was_freed(info->si_addr)) {
    std::fprintf(stderr, "emulated CUDA: %s device memory that was freed\n",
                 memories().open > 0 ? "a kernel used" : "the host touched");
  }
  std::signal(signal, SIG_DFL);
}

void explain_crashes() {
  struct sigaction action = {};
  action.sa_sigaction = &explain;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, nullptr);
}

#endif

}  // namespace

std::int64_t allocations_made() {
  const std::lock_guard lock(lock_of_devices());
  return memories().made;
}

Place place_of(const void* memory, std::size_t bytes) {
  const auto* found = find(memory);
  if (found == nullptr) {
    return {was_freed(memory) ? Memory::freed : Memory::pageable, 0, true};
  }
  const std::size_t offset = reinterpret_cast<std::uintptr_t>(memory) - found->first;
  return {found->second.memory, found->second.device, bytes <= found->second.bytes - offset};
}

const char* name_of(Memory memory) {
  constexpr const char* kNames[] = {"pageable memory of the host", "pinned memory of the host", "device memory",
                                    "device memory that was freed"};
  return kNames[static_cast<int>(memory)];
}

OpenMemory::OpenMemory() {
  lock_of_devices().lock();
  if (memories().open++ == 0) {
    for (const auto& [start, allocation] : memories().allocations) {
      if (allocation.memory == Memory::device) {
        protect(allocation, PROT_READ | PROT_WRITE);
      }
    }
  }
}

OpenMemory::~OpenMemory() {
  if (--memories().open == 0 && protects()) {
    for (const auto& [start, allocation] : memories().allocations) {
      if (allocation.memory == Memory::device) {
        protect(allocation, PROT_NONE);
      }
    }
  }
  lock_of_devices().unlock();
}

}  // namespace lora_dist::emulation

using namespace lora_dist::emulation;

cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  const std::lock_guard lock(lock_of_devices());
  const std::size_t used = used_on(current_device());
  *total_bytes = capacity();
  *free_bytes = capacity() > used ? capacity() - used : 0;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  const std::lock_guard lock(lock_of_devices());
  if (current_device() >= device_total()) {
    return report(cudaErrorNoDevice);
  }
  *memory = nullptr;
  if (bytes == 0) {
    return cudaSuccess;
  }
  std::size_t& used = used_on(current_device());
  if (bytes > capacity() || used > capacity() - bytes) {
    return report(cudaErrorMemoryAllocation);
  }
  explain_crashes();
  Allocation made;
  made.bytes = bytes;
  made.device = current_device();
  made.mapped = (bytes + kPage - 1) / kPage * kPage;
  void* mapping = mmap(nullptr, made.mapped + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    return report(cudaErrorMemoryAllocation);
  }
  made.mapping = static_cast<char*>(mapping);
  char* start = made.mapping + made.mapped - (bytes + kAlignment - 1) / kAlignment * kAlignment;
  protect(made, PROT_READ | PROT_WRITE);
  std::memset(start, 0xFF, bytes);  // NaN until something is written
  std::memset(start + bytes, kSlack, static_cast<std::size_t>(made.mapping + made.mapped - (start + bytes)));
  if (protects() && memories().open == 0) {
    protect(made, PROT_NONE);
  }
  used += bytes;
  memories().allocations[reinterpret_cast<std::uintptr_t>(start)] = made;
  ++memories().made;
  *memory = start;
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  if (memory == nullptr) {
    return cudaSuccess;
  }
  const std::lock_guard lock(lock_of_devices());
  const cudaError_t before = drain_all();
  const auto found = memories().allocations.find(reinterpret_cast<std::uintptr_t>(memory));
  if (found == memories().allocations.end() || found->second.memory != Memory::device) {
    return report(cudaErrorInvalidValue);
  }
  const Allocation& allocation = found->second;
  protect(allocation, PROT_READ);
  for (const char* at = static_cast<char*>(memory) + allocation.bytes; at < allocation.mapping + allocation.mapped; ++at) {
    if (static_cast<unsigned char>(*at) != kSlack) {
      std::fprintf(stderr, "emulated CUDA: something was written past the end of an allocation of %zu bytes\n", allocation.bytes);
      std::abort();
    }
  }
  used_on(allocation.device) -= allocation.bytes;
  retire(allocation);
  memories().allocations.erase(found);
  return report(before);
}

cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned /*flags*/) {
  const std::lock_guard lock(lock_of_devices());
  *memory = nullptr;
  if (bytes == 0) {
    return cudaSuccess;
  }
  std::size_t pinned = bytes;
  for (const auto& [address, other] : memories().allocations) {
    pinned += other.memory == Memory::pinned ? other.bytes : 0;
  }
  if (pinned > static_cast<std::size_t>(setting("LORA_DIST_EMULATED_PINNED", std::int64_t{1} << 40))) {
    return report(cudaErrorMemoryAllocation);
  }
  void* made = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  if (made == nullptr) {
    return report(cudaErrorMemoryAllocation);
  }
  memories().allocations[reinterpret_cast<std::uintptr_t>(made)] = {bytes, Memory::pinned, 0, nullptr, 0};
  ++memories().made;
  *memory = made;
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** memory, std::size_t bytes) { return cudaHostAlloc(memory, bytes, cudaHostAllocDefault); }

cudaError_t cudaFreeHost(void* memory) {
  const std::lock_guard lock(lock_of_devices());
  if (memory == nullptr) {
    return cudaSuccess;
  }
  const cudaError_t before = drain_all();
  if (memories().allocations.erase(reinterpret_cast<std::uintptr_t>(memory)) == 0) {
    return report(cudaErrorInvalidValue);
  }
  std::free(memory);
  return report(before);
}
