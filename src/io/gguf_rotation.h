// The rotation of positions in GGUF files: keys rope.* and the tensors of divisors, as an object of config.json.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "src/io/gguf.h"

namespace lora_dist {

/// True for tensors that belong to the configuration: rope_freqs and longrope's factors.
bool is_rotation_tensor(std::string_view name);

/// rope.freq_base; 10000 where the file has none.
double gguf_theta(const GgufFile& file);

/// Dimensions of a head that are rotated: rope.dimension_count, else `head_dim`.
std::int64_t gguf_rotated_dims(const GgufFile& file, std::int64_t head_dim);

/// The object rope_scaling, without rope_theta; null: nothing is stretched. `dims`: rotated ones. Types linear, yarn, longrope
/// (by its factors) and Llama 3.1's, found from rope_freqs. Throws Error(model): another type, factors or divisors that do not
/// fit.
nlohmann::ordered_json gguf_rope_scaling(const GgufFile& file, double theta, std::int64_t dims);

}  // namespace lora_dist
