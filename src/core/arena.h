// Memory that lasts: every buffer has a kind and a name, so that the table shown at the start is what the process holds.
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

/// Owns buffers until it is destroyed, in the memory of the stream that it is made for: the device's when that is a CUDA stream
/// (which must outlive it), else the host's. Host pages are not touched before they are used, so a buffer sized for the longest
/// batch costs only what the batches need; device memory is taken whole, at the start.
class Arena {
 public:
  /// pinned: the host's memory, that a CUDA stream copies from by itself; nowhere: addresses alone, to see what would be held.
  enum class Place : std::uint8_t { operators, pinned, nowhere };

  Arena() = default;
  explicit Arena(const Stream& stream, Place place = Place::operators) : stream_(stream), place_(place) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  Arena(Arena&&) = default;
  Arena& operator=(Arena&&) = default;

  /// A buffer of `count` elements, 64-byte aligned at least, not initialised.
  /// Throws Error(out_of_memory) with what was asked and what is held, by kind.
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

  /// Notes memory that somebody else holds for as long as the arena lives, in place of what was noted under that name before.
  void count(MemoryKind kind, const std::string& name, std::int64_t bytes);

  const std::vector<MemoryItem>& items() const { return items_; }
  /// False for Place::nowhere, whose buffers may neither be written nor read: who fills buffers leaves them as they are.
  bool holds_memory() const { return place_ != Place::nowhere; }

 private:
  struct Free {
    Backend backend = Backend::cpu;
    Place place = Place::operators;
    void operator()(void* memory) const;
  };
  void* take_bytes(MemoryKind kind, const std::string& name, std::int64_t count, std::size_t element);
  void* note(MemoryKind kind, const std::string& name, std::size_t bytes);
  void fill_with_zeros(std::span<std::byte> bytes) const;

  Stream stream_;
  Place place_ = Place::operators;
  std::vector<std::unique_ptr<void, Free>> buffers_;
  std::vector<MemoryItem> items_;
  std::size_t noted_bytes_ = 0;  // of Place::nowhere
};

/// Runs `work`, which may take device memory outside the arena, for `purpose`. Where there is none left, throws
/// Error(out_of_memory) with what was asked and what the arena holds, by kind.
void explain_full_memory(const Arena& arena, const std::string& purpose, const std::function<void()>& work);

}  // namespace lora_dist
