// The table of a Llama's tensors, and the check of a model folder against it.
#include "src/model/tensor_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "src/core/error.h"

namespace lora_dist {

namespace {

struct LinearName {
  std::string_view parent;
  std::string_view module;
};
constexpr std::array<LinearName, kLinears> kNames = {{{"self_attn", "q_proj"},
                                                      {"self_attn", "k_proj"},
                                                      {"self_attn", "v_proj"},
                                                      {"self_attn", "o_proj"},
                                                      {"mlp", "gate_proj"},
                                                      {"mlp", "up_proj"},
                                                      {"mlp", "down_proj"}}};

}  // namespace

std::string_view module_name(Linear linear) { return kNames[index_of(linear)].module; }

std::string module_path(std::int64_t layer, Linear linear) {
  return fmt::format("model.layers.{}.{}.{}", layer, kNames[index_of(linear)].parent, kNames[index_of(linear)].module);
}

LinearShape linear_shape(const ModelSpec& config, Linear linear) {
  switch (linear) {
    case Linear::q:
      return {config.query_width(), config.hidden, config.attention_bias};
    case Linear::k:
    case Linear::v:
      return {config.key_width(), config.hidden, config.attention_bias};
    case Linear::o:
      return {config.hidden, config.query_width(), config.attention_bias};
    case Linear::gate:
    case Linear::up:
      return {config.intermediate, config.hidden, config.mlp_bias};
    case Linear::down:
      return {config.hidden, config.intermediate, config.mlp_bias};
  }
  return {};
}

std::string input_norm_name(std::int64_t layer) { return fmt::format("model.layers.{}.input_layernorm.weight", layer); }

std::string post_attention_norm_name(std::int64_t layer) {
  return fmt::format("model.layers.{}.post_attention_layernorm.weight", layer);
}

const TensorInfo& find_tensor(const TensorDirectory& directory, const std::string& name, const std::vector<std::int64_t>& shape) {
  const auto found = directory.tensors.find(name);
  if (found == directory.tensors.end()) {
    throw Error(ExitCode::model,
                fmt::format("{}: tensor {} is missing; the weights do not belong to this config.json, or are incomplete",
                            directory.files.empty() ? "model" : directory.files.front().parent_path().string(), name));
  }
  const TensorInfo& tensor = found->second;
  if (tensor.shape != shape) {
    throw Error(ExitCode::model, fmt::format("{}: tensor {} has shape [{}], config.json implies [{}]", tensor.file.string(), name,
                                             fmt::join(tensor.shape, ", "), fmt::join(shape, ", ")));
  }
  if (tensor.dtype != DType::f32 && tensor.dtype != DType::f16 && tensor.dtype != DType::bf16) {
    throw Error(ExitCode::model, fmt::format("{}: tensor {} has dtype {}; weights must be f32, f16 or bf16", tensor.file.string(),
                                             name, name_of(tensor.dtype)));
  }
  return tensor;
}

void check_model_tensors(const ModelSpec& config, const TensorDirectory& directory) {
  find_tensor(directory, std::string(kEmbeddingName), {config.vocab, config.hidden});
  find_tensor(directory, std::string(kFinalNormName), {config.hidden});
  if (!config.tied_head) {
    find_tensor(directory, std::string(kHeadName), {config.vocab, config.hidden});
  }
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    find_tensor(directory, input_norm_name(layer), {config.hidden});
    find_tensor(directory, post_attention_norm_name(layer), {config.hidden});
    for (const Linear linear : kAllLinears) {
      const LinearShape shape = linear_shape(config, linear);
      find_tensor(directory, module_path(layer, linear) + ".weight", {shape.out, shape.in});
      if (shape.bias) {
        find_tensor(directory, module_path(layer, linear) + ".bias", {shape.out});
      }
    }
  }
}

}  // namespace lora_dist
