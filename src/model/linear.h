// The linear layers that a block may have.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lora_dist {

/// In the order of the flat buffers and of dropout's module numbers. No block has all of them: `qkv` is the fused projection of
/// families with one matrix for q, k and v, `gate_up` that of one matrix for gate and up, and an MLP without a gate has only `up`
/// and `down`.
enum class Linear : std::uint8_t { q, k, v, o, gate, up, down, qkv, gate_up };
inline constexpr std::size_t kLinears = 9;
inline constexpr std::array<Linear, kLinears> kAllLinears = {Linear::q,  Linear::k,    Linear::v,   Linear::o,      Linear::gate,
                                                             Linear::up, Linear::down, Linear::qkv, Linear::gate_up};

constexpr std::size_t index_of(Linear linear) { return static_cast<std::size_t>(linear); }

}  // namespace lora_dist
