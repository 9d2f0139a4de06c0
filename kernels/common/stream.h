// The stream of an operator: backend, CPU threads, CUDA stream.
#pragma once

#include <cstdint>

namespace lora_dist {

enum class Backend : std::uint8_t { cpu, cuda };

/// The last argument of every operator. On the CPU it holds the number of threads. Results do not depend on that number: work is
/// cut into pieces by shape alone.
struct Stream {
  Backend backend = Backend::cpu;
  int threads = 1;
  void* handle = nullptr;  // a cudaStream_t when backend is cuda
};

}  // namespace lora_dist
