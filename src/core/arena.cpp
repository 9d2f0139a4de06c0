// Allocates the buffers of an arena and notes their sizes.
#include "src/core/arena.h"

#include <fmt/format.h>

#include <cstdlib>
#include <limits>

#include "src/core/error.h"

namespace lora_dist {

namespace {

constexpr std::size_t kAlignment = 64;

[[noreturn]] void out_of_memory(const std::string& name, const std::string& asked, const std::vector<MemoryItem>& held) {
  throw Error(
      ExitCode::out_of_memory,
      fmt::format("out of memory: asked for {} for {}; already held: {}\nUse a smaller train.micro_batch or data.max_length, "
                  "train.recompute = \"block\", or more ranks.",
                  asked, name, human_bytes(sum_by_kind(held)[kMemoryKinds])));
}

}  // namespace

void Arena::Free::operator()(void* memory) const { std::free(memory); }  // NOLINT(cppcoreguidelines-no-malloc)

void* Arena::take_bytes(MemoryKind kind, const std::string& name, std::int64_t count, std::size_t element) {
  const auto elements = static_cast<std::uint64_t>(count);
  if (count < 0 || elements > (std::numeric_limits<std::int64_t>::max() - kAlignment) / element) {
    out_of_memory(name, "more than an address can name", items_);
  }
  const std::size_t bytes = elements * element;
  const std::size_t padded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, padded == 0 ? kAlignment : padded);
  if (memory == nullptr) {
    out_of_memory(name, human_bytes(static_cast<std::int64_t>(bytes)), items_);
  }
  buffers_.emplace_back(memory);
  items_.push_back({kind, name, static_cast<std::int64_t>(bytes)});
  return memory;
}

}  // namespace lora_dist
