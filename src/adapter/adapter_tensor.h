// A tensor of an adapter in the flat buffers, as checkpoints and PEFT folders name it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lora_dist {

/// An adapter tensor's position in the flat buffers: elements [offset, offset + count). Tensors are contiguous.
struct AdapterTensor {
  std::string name;  // "model.layers.0.self_attn.q_proj.lora_A"
  std::vector<std::int64_t> shape;
  std::int64_t offset = 0;
  std::int64_t count = 0;

  bool operator==(const AdapterTensor&) const = default;
};

}  // namespace lora_dist
