// The names and shapes of a model's tensors, by its family's table, for loading, adapters and export.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/io/safetensors.h"
#include "src/model/linear.h"
#include "src/model/model_config.h"

namespace lora_dist {

/// "model.layers.3.self_attn.q_proj": the module's path, without ".weight"; empty if the family lacks this linear.
std::string module_path(const Family& family, std::int64_t layer, Linear linear);
/// A name of the family's table with the layer's number filled in.
std::string path_of(std::string_view name, std::int64_t layer);

struct LinearShape {
  std::int64_t out = 0;  // 0: the model lacks this linear
  std::int64_t in = 0;
  bool bias = false;
};
LinearShape linear_shape(const ModelSpec& spec, Linear linear);

/// A tensor of a model's files.
struct ModelTensor {
  std::string name;
  std::vector<std::int64_t> shape;
};
/// All tensors that the configuration implies, once each (a tied head is the embedding).
std::vector<ModelTensor> model_tensors(const ModelSpec& spec);
/// Their total number of elements, rows that an adapter adds included.
std::int64_t parameter_count(const ModelSpec& spec);

/// The weight of a linear in the files: [out, in], or [in, out] for transposed families.
ModelTensor weight_tensor(const ModelSpec& spec, std::int64_t layer, Linear linear);

/// The tensor of that name, with or without the family's prefix; for a tied embedding, also the head's name. Null if missing.
const TensorInfo* look_up_tensor(const ModelSpec& spec, const TensorDirectory& directory, const std::string& name);

/// Throws Error(model) naming tensor and file unless the dtype is f32, f16 or bf16.
void check_float_dtype(const TensorInfo& tensor);

/// look_up_tensor, with that shape and a float dtype; throws Error(model) naming the tensor, both shapes and the file, or that it
/// is quantized.
const TensorInfo& find_tensor(const ModelSpec& spec, const TensorDirectory& directory, const ModelTensor& wanted);

}  // namespace lora_dist
