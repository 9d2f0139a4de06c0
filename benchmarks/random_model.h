// Writes a random Llama as a Hugging Face folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kernels/common/philox.h"
#include "src/io/safetensors.h"
#include "src/model/family.h"
#include "src/model/tensor_table.h"

namespace lora_dist::benchmarks {

/// hidden 512, 8 layers, 8 heads, 4 kv heads, intermediate 1376, vocabulary 8192: big enough for rates and memory to mean
/// something.
inline ModelSpec hidden_512() {
  ModelSpec spec;
  spec.model_type = "llama";
  spec.family = find_family(spec.model_type);
  spec.hidden = 512;
  spec.layers = 8;
  spec.heads = 8;
  spec.kv_heads = 4;
  spec.head_dim = 64;
  spec.intermediate = 1376;
  spec.vocab = 8192;
  spec.max_positions = 512;
  return spec;
}

/// Writes config.json and model.safetensors (f32, uniform in +-0.02) for `spec`, untied.
inline void write_random_model(const std::filesystem::path& folder, const ModelSpec& spec) {
  std::filesystem::create_directories(folder);
  const nlohmann::json config = {{"model_type", "llama"},
                                 {"hidden_size", spec.hidden},
                                 {"num_hidden_layers", spec.layers},
                                 {"num_attention_heads", spec.heads},
                                 {"num_key_value_heads", spec.kv_heads},
                                 {"intermediate_size", spec.intermediate},
                                 {"vocab_size", spec.vocab},
                                 {"max_position_embeddings", spec.max_positions},
                                 {"rms_norm_eps", 1e-5}};
  std::ofstream(folder / "config.json") << config.dump(2) << "\n";

  const std::vector<ModelTensor> shapes = model_tensors(spec);
  std::vector<std::vector<float>> values;
  std::vector<TensorToWrite> tensors;
  values.reserve(shapes.size());  // the spans below must stay valid
  for (const auto& [name, shape] : shapes) {
    const bool norm = shape.size() == 1;
    std::vector<float>& v = values.emplace_back(static_cast<std::size_t>(shape[0] * (norm ? 1 : shape[1])), 1.0F);
    for (std::size_t i = 0; !norm && i < v.size(); ++i) {
      const PhiloxCounter bits =
          philox4x32({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(values.size()), 0, 0}, {1, 2});
      v[i] = (uniform_float(bits[0]) - 0.5F) * 0.04F;
    }
    tensors.push_back({name, DType::f32, shape, std::as_bytes(std::span(v))});
  }
  write_safetensors(folder / "model.safetensors", tensors);
}

}  // namespace lora_dist::benchmarks
