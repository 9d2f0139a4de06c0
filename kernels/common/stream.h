// Where an operator runs: which backend, and on how many threads.
#pragma once

#include <cstdint>

namespace lora_dist {

enum class Backend : std::uint8_t { cpu, cuda };

/// The last argument of every operator. On the CPU it carries the number of threads. Results never depend on it: work is
/// cut into pieces by shape alone, so 1 thread and 64 threads give the same bits.
struct Stream {
  Backend backend = Backend::cpu;
  int threads = 1;
  void* handle = nullptr;  // a cudaStream_t when backend is cuda
};

}  // namespace lora_dist
