// Shapes of a model's tensors, and the check of a model folder against them.
#include "src/model/tensor_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <numeric>

#include "src/core/error.h"
#include "src/io/gguf.h"
#include "src/model/family.h"

namespace lora_dist {

namespace {

/// `bias`: whether the norm has one.
void add_norm(std::string_view name, std::int64_t layer, std::int64_t width, bool bias, std::vector<ModelTensor>& tensors) {
  if (name.empty()) {
    return;
  }
  tensors.push_back({path_of(name, layer) + ".weight", {width}});
  if (bias) {
    tensors.push_back({path_of(name, layer) + ".bias", {width}});
  }
}

bool has_norm_bias(const ModelSpec& spec) { return spec.norm == Norm::layer && spec.norm_bias; }

void add_block(const ModelSpec& spec, std::int64_t layer, std::vector<ModelTensor>& tensors) {
  const TensorNames& names = spec.family->names;
  const auto add_sublayer_norm = [&](std::string_view name) { add_norm(name, layer, spec.hidden, has_norm_bias(spec), tensors); };
  if (spec.norm_before) {
    add_sublayer_norm(names.attention_norm);
    if (!spec.shared_norm) {
      add_sublayer_norm(names.mlp_norm);
    }
  }
  if (spec.norm_after) {
    add_sublayer_norm(names.attention_out_norm);
    add_sublayer_norm(names.mlp_out_norm);
  }
  add_norm(names.q_norm, layer, spec.width_norm ? spec.query_width() : spec.head_dim, false, tensors);
  add_norm(names.k_norm, layer, spec.width_norm ? spec.key_width() : spec.head_dim, false, tensors);
  for (const Linear linear : kAllLinears) {
    const LinearShape shape = linear_shape(spec, linear);
    if (shape.out == 0) {
      continue;
    }
    tensors.push_back(weight_tensor(spec, layer, linear));
    if (shape.bias) {
      tensors.push_back({module_path(*spec.family, layer, linear) + ".bias", {shape.out}});
    }
  }
}

}  // namespace

const TensorInfo* look_up_tensor(const ModelSpec& spec, const TensorDirectory& directory, const std::string& name) {
  const TensorNames& names = spec.family->names;
  const auto find = [&](const std::string& candidate) {
    const auto found = directory.tensors.find(candidate);
    return found == directory.tensors.end() ? nullptr : &found->second;
  };
  const TensorInfo* tensor = find(name);
  if (tensor == nullptr && name.starts_with(names.prefix)) {
    tensor = find(name.substr(names.prefix.size()));
  }
  // Shared tensors are stored once, under either name: a tied embedding may have the head's name.
  const bool tied_embedding = spec.tied_head && name == std::string(names.embedding) + ".weight";
  if (tensor == nullptr && (tied_embedding || name == std::string(names.heads[0]) + ".weight")) {
    for (const std::string_view head : names.heads) {
      tensor = tensor == nullptr && !head.empty() ? find(std::string(head) + ".weight") : tensor;
    }
  }
  return tensor;
}

std::string path_of(std::string_view name, std::int64_t layer) {
  const std::size_t at = name.find("{}");
  return at == std::string_view::npos
             ? std::string(name)
             : std::string(name.substr(0, at)) + std::to_string(layer) + std::string(name.substr(at + 2));
}

std::string module_path(const Family& family, std::int64_t layer, Linear linear) {
  return path_of(family.names.linears[index_of(linear)], layer);
}

LinearShape linear_shape(const ModelSpec& spec, Linear linear) {
  const bool bias = spec.bias[index_of(linear)];
  const bool fused = spec.fused_qkv.has_value();
  switch (linear) {
    case Linear::q:
      return fused ? LinearShape{} : LinearShape{spec.query_width(), spec.hidden, bias};
    case Linear::k:
    case Linear::v:
      return fused ? LinearShape{} : LinearShape{spec.key_width(), spec.hidden, bias};
    case Linear::qkv:
      return fused ? LinearShape{spec.query_width() + 2 * spec.key_width(), spec.hidden, bias} : LinearShape{};
    case Linear::o:
      return {spec.hidden, spec.query_width(), bias};
    case Linear::gate:
      return spec.gated && !spec.fused_gate_up ? LinearShape{spec.intermediate, spec.hidden, bias} : LinearShape{};
    case Linear::up:
      return spec.fused_gate_up ? LinearShape{} : LinearShape{spec.intermediate, spec.hidden, bias};
    case Linear::gate_up:
      return spec.fused_gate_up ? LinearShape{2 * spec.intermediate, spec.hidden, bias} : LinearShape{};
    case Linear::down:
      return {spec.hidden, spec.intermediate, bias};
  }
  return {};
}

ModelTensor weight_tensor(const ModelSpec& spec, std::int64_t layer, Linear linear) {
  const LinearShape shape = linear_shape(spec, linear);
  const bool transposed = spec.family->transposed;
  return {module_path(*spec.family, layer, linear) + ".weight",
          {transposed ? shape.in : shape.out, transposed ? shape.out : shape.in}};
}

std::vector<ModelTensor> model_tensors(const ModelSpec& spec) {
  const TensorNames& names = spec.family->names;
  std::vector<ModelTensor> tensors = {{std::string(names.embedding) + ".weight", {spec.vocab_of_files(), spec.hidden}}};
  if (spec.learned_positions) {
    tensors.push_back({std::string(names.positions) + ".weight", {spec.max_positions, spec.hidden}});
  }
  add_norm(names.final_norm, 0, spec.hidden, has_norm_bias(spec), tensors);
  if (!spec.tied_head) {
    tensors.push_back({std::string(names.heads[0]) + ".weight", {spec.vocab_of_files(), spec.hidden}});
  }
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    add_block(spec, layer, tensors);
  }
  return tensors;
}

std::int64_t parameter_count(const ModelSpec& spec) {
  std::int64_t count = spec.added_rows * spec.hidden * (spec.tied_head ? 1 : 2);
  for (const ModelTensor& tensor : model_tensors(spec)) {
    count += std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t{1}, std::multiplies<>());
  }
  return count;
}

void check_float_dtype(const TensorInfo& tensor) {
  if (tensor.dtype != DType::f32 && tensor.dtype != DType::f16 && tensor.dtype != DType::bf16) {
    throw Error(ExitCode::model, fmt::format("{}: tensor {} has dtype {}; weights must be f32, f16 or bf16", tensor.file.string(),
                                             tensor.name, dtype_text(tensor)));
  }
}

const TensorInfo& find_tensor(const ModelSpec& spec, const TensorDirectory& directory, const ModelTensor& wanted) {
  const TensorInfo* found = look_up_tensor(spec, directory, wanted.name);
  const bool from_gguf = !directory.files.empty() && has_gguf_ending(directory.files.front());
  if (found == nullptr && from_gguf) {
    throw Error(ExitCode::model, fmt::format("{}: tensor {} is missing; the file is incomplete: download or convert it again",
                                             directory.files.front().string(), wanted.name));
  }
  if (found == nullptr) {
    throw Error(ExitCode::model,
                fmt::format("{}: tensor {} is missing; the weights do not belong to this config.json, or are incomplete",
                            directory.files.empty() ? "model" : directory.files.front().parent_path().string(), wanted.name));
  }
  const TensorInfo& tensor = *found;
  if (directory.tensors.contains(tensor.name + ".absmax") || directory.tensors.contains(tensor.name + ".quant_map")) {
    throw Error(ExitCode::model,
                fmt::format("{}: {} is quantized by bitsandbytes; of embedding, head and norms the floats are needed. Save the "
                            "model again with llm_int8_skip_modules naming {}, or give the folder with the original weights",
                            tensor.file.string(), tensor.name, tensor.name.substr(0, tensor.name.rfind('.'))));
  }
  if (tensor.shape != wanted.shape) {
    throw Error(
        ExitCode::model,
        fmt::format("{}: tensor {} has shape [{}], {} [{}]", tensor.file.string(), tensor.name, fmt::join(tensor.shape, ", "),
                    from_gguf ? "the file's keys imply" : "config.json implies", fmt::join(wanted.shape, ", ")));
  }
  check_float_dtype(tensor);
  return tensor;
}

}  // namespace lora_dist
