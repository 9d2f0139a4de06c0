// The stream of an operator: backend, CPU threads, CUDA stream.
#pragma once

#include <cstdint>

namespace lora_dist {

enum class Backend : std::uint8_t { cpu, cuda };

class WorkRecord;

/// The last argument of every operator. On the CPU it carries the number of threads. Results never depend on it: work is
/// cut into pieces by shape alone, so 1 thread and 64 threads give the same bits.
///
/// With a record it runs dry: what is launched on it is noted there (work_record.h), computes nothing and touches no memory. Its
/// backend says which one it stands for, and need not be there: what depends on the backend is decided as in a real run.
struct Stream {
  Backend backend = Backend::cpu;
  int threads = 1;
  void* handle = nullptr;  // a cudaStream_t when backend is cuda; null in a dry run
  WorkRecord* record = nullptr;

  bool is_dry() const { return record != nullptr; }
  /// Whether what is launched on it is given to a device.
  bool is_of_device() const { return backend == Backend::cuda && !is_dry(); }
};

}  // namespace lora_dist
