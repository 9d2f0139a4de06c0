// Long-lived memory: every buffer has a kind and a name, so that the memory table shown at the start is complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/common/stream.h"
#include "src/core/memory_report.h"

namespace lora_dist {

/// Owns buffers until it is destroyed: device memory for a CUDA stream (which must outlive the arena), else host memory. Host
/// pages are committed on first use, so a buffer sized for the longest batch costs only what the batches need; device memory is
/// allocated in full at the start.
class Arena {
 public:
  /// backend: the operators' memory; pinned: host memory for asynchronous copies; none: addresses without memory, to count bytes.
  enum class Memory : std::uint8_t { backend, pinned, none };

  Arena() = default;
  explicit Arena(const Stream& stream, Memory memory = Memory::backend) : stream_(stream), memory_(memory) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  Arena(Arena&&) = default;
  Arena& operator=(Arena&&) = default;

  /// A buffer of `count` elements, 64-byte aligned at least, not initialised.
  /// Throws Error(out_of_memory) with the request and the held bytes by kind.
  template <class T>
  std::span<T> take(MemoryKind kind, const std::string& name, std::int64_t count) {
    return {static_cast<T*>(take_bytes(kind, name, count, sizeof(T))), static_cast<std::size_t>(count)};
  }
  /// The same, filled with zeros.
  template <class T>
  std::span<T> take_zeroed(MemoryKind kind, const std::string& name, std::int64_t count) {
    const std::span<T> out = take<T>(kind, name, count);
    fill_with_zeros(std::as_writable_bytes(out));
    return out;
  }

  /// Records memory that another object holds for the arena's lifetime; replaces an earlier record of that name.
  void count(MemoryKind kind, const std::string& name, std::int64_t bytes);

  const std::vector<MemoryItem>& items() const { return items_; }

  /// The buffers and records held at a time.
  struct Mark {
    std::size_t buffers = 0;
    std::size_t items = 0;
  };
  Mark mark() const { return {buffers_.size(), items_.size()}; }
  /// Frees the buffers taken after the mark, and drops their records.
  void release_after(const Mark& mark);

  /// False for Memory::none, whose buffers must not be read or written.
  bool holds_memory() const { return memory_ != Memory::none; }

 private:
  struct Free {
    Backend backend = Backend::cpu;
    Memory from = Memory::backend;
    void operator()(void* memory) const;
  };
  void* take_bytes(MemoryKind kind, const std::string& name, std::int64_t count, std::size_t element);
  void* note(MemoryKind kind, const std::string& name, std::size_t bytes);
  void fill_with_zeros(std::span<std::byte> bytes) const;

  Stream stream_;
  Memory memory_ = Memory::backend;
  std::vector<std::unique_ptr<void, Free>> buffers_;
  std::vector<MemoryItem> items_;
  std::size_t noted_bytes_ = 0;  // of Memory::none
};

/// Runs `work`, which may allocate device memory outside the arena for `purpose`. If that fails, throws Error(out_of_memory) with
/// the request and the arena's bytes by kind.
void explain_full_memory(const Arena& arena, const std::string& purpose, const std::function<void()>& work);

}  // namespace lora_dist
