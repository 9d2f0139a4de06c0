// Counts the bytes that a rank passes to collectives, by purpose.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace lora_dist {

enum class WireKind : std::uint8_t { base_gather, adapter_gradient, tensor_activation, control };
inline constexpr std::size_t kWireKinds = 4;

constexpr std::string_view name_of(WireKind kind) {
  constexpr std::array<std::string_view, kWireKinds> names = {"base_gather", "adapter_gradient", "tensor_activation", "control"};
  return names[static_cast<std::size_t>(kind)];
}

/// This rank's payload bytes per kind. A group of one rank sends nothing.
struct WireBytes {
  std::array<std::int64_t, kWireKinds> bytes{};

  std::int64_t& operator[](WireKind kind) { return bytes[static_cast<std::size_t>(kind)]; }
  std::int64_t operator[](WireKind kind) const { return bytes[static_cast<std::size_t>(kind)]; }
};

}  // namespace lora_dist
