// The rotation of positions as keys and tensors of a GGUF file.
#pragma once

#include <string>
#include <vector>

#include "src/io/gguf_architecture.h"
#include "src/io/write_gguf.h"
#include "src/model/model_config.h"

namespace lora_dist {

/// The keys rope.*. Throws Error(model) for a type of rotation that files of the architecture do not have.
void add_gguf_rope_keys(const ModelSpec& spec, const GgufArchitecture& architecture, std::vector<GgufKey>& keys);

struct GgufRopeTensor {
  std::string name;
  std::vector<float> values;
};
/// rope_freqs.weight: the divisors of the rotation's frequencies in Llama 3.1's scaling; or longrope's factors. Empty: neither.
std::vector<GgufRopeTensor> gguf_rope_tensors(const ModelSpec& spec);

/// True if both turn heads alike, but for the rounding of a file's numbers to f32.
bool same_rotation(const RopeConfig& one, const RopeConfig& other);

/// Equal but for the rounding to f32 of a number in a GGUF file.
bool is_close(double a, double b);

}  // namespace lora_dist
