// Allocates the buffers of an arena and notes their sizes.
#include "src/core/arena.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <new>

#include "kernels/common/device.h"
#include "kernels/elementwise/copy.h"
#include "src/core/error.h"

namespace lora_dist {

namespace {

constexpr std::size_t kAlignment = 64;

/// "base shard 3.71 GiB, activations 12.0 GiB": the held bytes by kind.
std::string held_by_kind(const std::vector<MemoryItem>& held) {
  const MemoryByKind bytes = sum_by_kind(held);
  std::string text;
  for (std::size_t kind = 0; kind < kMemoryKinds; ++kind) {
    if (bytes[kind] > 0) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name_of(static_cast<MemoryKind>(kind)), human_bytes(bytes[kind]));
    }
  }
  return text.empty() ? "nothing" : text;
}

/// `what`: "out of memory: asked for ... for ...".
[[noreturn]] void out_of_memory(const std::string& what, const std::vector<MemoryItem>& held) {
  throw Error(ExitCode::out_of_memory,
              fmt::format("{}; already held: {} ({})\nUse {}.", what, human_bytes(sum_by_kind(held)[kMemoryKinds]),
                          held_by_kind(held), kMemoryAdvice));
}
[[noreturn]] void out_of_memory(const std::string& name, const std::string& asked, const std::vector<MemoryItem>& held) {
  out_of_memory(fmt::format("out of memory: asked for {} for {}", asked, name), held);
}

std::size_t padded(std::size_t bytes) { return bytes == 0 ? kAlignment : (bytes + kAlignment - 1) / kAlignment * kAlignment; }

void* allocate(Backend backend, Arena::Memory from, std::size_t bytes) {
  if (backend == Backend::cpu) {
    return std::aligned_alloc(kAlignment, bytes);
  }
  try {
    return from == Arena::Memory::pinned ? allocate_pinned(bytes) : allocate_device(bytes);
  } catch (const DeviceError& error) {
    if (error.problem() == DeviceProblem::out_of_memory) {
      return nullptr;
    }
    throw;
  }
}

}  // namespace

void Arena::Free::operator()(void* memory) const {
  if (backend == Backend::cuda) {
    from == Memory::pinned ? free_pinned(memory) : free_device(memory);
  } else {
    std::free(memory);  // NOLINT(cppcoreguidelines-no-malloc)
  }
}

void Arena::fill_with_zeros(std::span<std::byte> bytes) const {
  if (holds_memory()) {
    zero({bytes.data(), DType::u8, {static_cast<std::int64_t>(bytes.size())}}, stream_);
  }
}

void* Arena::take_bytes(MemoryKind kind, const std::string& name, std::int64_t count, std::size_t element) {
  const auto elements = static_cast<std::uint64_t>(count);
  if (count < 0 || elements > (std::numeric_limits<std::int64_t>::max() - kAlignment) / element) {
    out_of_memory(name, "more than an address can name", items_);
  }
  const std::size_t bytes = elements * element;
  if (!holds_memory()) {
    return note(kind, name, bytes);
  }
  void* memory = allocate(stream_.backend, memory_, padded(bytes));
  if (memory == nullptr && memory_ == Memory::pinned) {
    throw Error(ExitCode::out_of_memory,
                fmt::format("out of pinned host memory: asked for {} for {}\n"
                            "Raise the limit of locked memory (ulimit -l) or of the container, use more ranks, or set "
                            "parallel.base_device = \"device\".",
                            human_bytes(static_cast<std::int64_t>(bytes)), name));
  }
  if (memory == nullptr) {
    out_of_memory(name, human_bytes(static_cast<std::int64_t>(bytes)), items_);
  }
  buffers_.emplace_back(memory, Free{stream_.backend, memory_});
  items_.push_back({kind, name, static_cast<std::int64_t>(bytes)});
  return memory;
}

/// Addresses that are never mapped: an access to them ends the process. A mapping would count against a limit on addresses
/// (ulimit -v).
void* Arena::note(MemoryKind kind, const std::string& name, std::size_t bytes) {
  constexpr std::uintptr_t kFirst = std::uintptr_t{0xF0} << 48U;
  constexpr std::size_t kMost = std::size_t{1} << 52U;
  if (bytes > kMost - noted_bytes_) {
    out_of_memory(name, human_bytes(static_cast<std::int64_t>(bytes)), items_);
  }
  const std::uintptr_t address = kFirst + noted_bytes_;
  noted_bytes_ += padded(bytes);
  items_.push_back({kind, name, static_cast<std::int64_t>(bytes)});
  return reinterpret_cast<void*>(address);  // NOLINT(performance-no-int-to-ptr)
}

void Arena::count(MemoryKind kind, const std::string& name, std::int64_t bytes) {
  std::erase_if(items_, [&](const MemoryItem& item) { return item.kind == kind && item.name == name; });
  items_.push_back({kind, name, bytes});
}

void Arena::release_after(const Mark& mark) {
  buffers_.resize(std::min(mark.buffers, buffers_.size()));
  items_.resize(std::min(mark.items, items_.size()));
}

void explain_full_memory(const Arena& arena, const std::string& purpose, const std::function<void()>& work) {
  try {
    work();
  } catch (const DeviceError& error) {
    if (error.problem() != DeviceProblem::out_of_memory) {
      throw;
    }
    out_of_memory(fmt::format("{}, for {}", error.what(), purpose), arena.items());
  }
}

}  // namespace lora_dist
