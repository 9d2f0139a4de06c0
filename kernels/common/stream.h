// The stream of an operator: backend, CPU threads, CUDA stream, and the record of a dry run.
#pragma once

#include <cstdint>

namespace lora_dist {

enum class Backend : std::uint8_t { cpu, cuda };

class WorkRecord;

/// The last argument of every operator. On the CPU it carries the number of threads, on which results do not depend: work is
/// divided by shape only, so 1 thread and 64 threads give the same bits.
///
/// A stream with a record runs dry: operators are recorded there (work_record.h), compute nothing and use no memory. Its backend
/// need not exist: code that branches on it takes the branch of a real run, but for access to the device (is_of_device()).
struct Stream {
  Backend backend = Backend::cpu;
  int threads = 1;
  void* handle = nullptr;  // a cudaStream_t when backend is cuda; null in a dry run
  WorkRecord* record = nullptr;

  bool is_dry() const { return record != nullptr; }
  /// True if operators on it run on a device.
  bool is_of_device() const { return backend == Backend::cuda && !is_dry(); }
};

}  // namespace lora_dist
