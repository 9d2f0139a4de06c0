// The table of adapter methods: the differences between LoRA and its variants. A method is one file, a declaration here, and a
// row in method.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/adapter/linear_hooks.h"
#include "src/adapter/lora_scale.h"
#include "src/adapter/method_folder.h"
#include "src/adapter/parameter.h"
#include "src/adapter/step_hooks.h"
#include "src/adapter/virtual_tokens.h"
#include "src/core/choices.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

/// The distribution of the initial values of a linear's parameters, and their key besides the element.
struct InitialKey {
  std::uint64_t seed = 0;
  std::uint32_t layer = 0;
  std::uint32_t linear = 0;
  LoraInit init = LoraInit::uniform;
  double d_initial = 0.1;  // of VeRA
};

struct AdapterLayout;

/// The modules that a method adapts unless the user names others.
struct DefaultModules {
  std::vector<std::string> target_modules;
  std::vector<std::string> feedforward_modules;
};

/// The keys of adapter.* that have a meaning for a method; the others of LoRA's are left as they are.
struct MethodKeys {
  bool rank = true;
  bool alpha = true;  // with rslora and the patterns
  bool dropout = true;
};

/// The part of the model that a method trains or adds to. Methods of virtual tokens (VirtualPlace) keep `linears` and adapt none;
/// they and the methods of norms and sublayers have no hooks of linears. `base`: full fine-tuning (full.h).
enum class TrainedPart : std::uint8_t { linears, norms, sublayers, base };

struct AdapterMethod {
  std::string_view name;  // the value of adapter.method
  /// The parameters of a linear layer: names, shapes and cuts; offsets are left 0.
  std::vector<Parameter> (*parameters)(const LinearTraits& linear) = nullptr;
  /// Fills the layer's parameters without from_base in the flat buffer of the whole adapter.
  void (*initialize)(const AdaptedLinear& linear, const InitialKey& key, std::span<float> params) = nullptr;
  /// Fills the parameters with from_base in `params`, the flat buffer in the operators' memory, from the layer's base weight and
  /// its other parameters. Null: there are none.
  void (*initialize_from_base)(const LinearLayer& layer, const LinearContext& context, std::span<float> params) = nullptr;
  LinearHooks linear = {};
  PeftCodec peft = {};
  MergeHooks merge = {};
  MethodKeys keys = {};
  /// Null: every linear layer.
  DefaultModules (*default_modules)(const ModelSpec& model) = nullptr;
  /// Adds to a new adapter's description what its layout and the model say. Null: nothing.
  void (*describe)(PeftConfig& peft, const AdapterLayout& layout, const ModelSpec& model) = nullptr;
  TrainedPart part = TrainedPart::linears;
  bool starts_as_base = true;  // a new adapter changes nothing
  /// The factor of the update: alpha / r, or another. `r`: of the configuration.
  double (*scale)(double alpha, std::int64_t r, bool rslora) = lora_scale;
  /// Null: nothing besides AdamW's update.
  const StepHooks* step = nullptr;
  /// The frozen tensors of a linear layer: corners of tensors that the whole adapter shares, by the same names. Null: there are
  /// none.
  std::vector<Parameter> (*frozen)(const LinearTraits& linear) = nullptr;
  /// The shared tensors of a new adapter, or of a folder that does not hold them, for the widest adapted input and output.
  SharedTensors (*draw_shared)(const PeftConfig& peft, std::int64_t in, std::int64_t out) = nullptr;
  VirtualPlace virtual_place = VirtualPlace::none;  // the part of virtual tokens that it trains
  bool trains_modules = false;                      // modules_to_save and trainable_token_indices work with it
};

/// y += scale * B A dropout(x). Hu et al. 2021, arXiv:2106.09685.
const AdapterMethod& lora_method();
/// The rows of W + scale * B A get trained lengths. Liu et al. 2024, arXiv:2402.09353.
const AdapterMethod& dora_method();

/// Each output, or each input of feed-forward layers, gets a trained factor. Liu et al. 2022, arXiv:2205.05638.
const AdapterMethod& ia3_method();

/// The norms' weights are trained themselves. Zhao et al. 2023, arXiv:2312.11420.
const AdapterMethod& ln_tuning_method();
/// The rows and columns of frozen projections get trained factors. Kopiczko et al. 2024, arXiv:2310.11454.
const AdapterMethod& vera_method();

/// LoRA whose least important ranks are pruned during training. Zhang et al. 2023, arXiv:2303.10512.
const AdapterMethod& adalora_method();
/// Virtual tokens with trained embeddings. Lester et al. 2021, arXiv:2104.08691.
const AdapterMethod& prompt_method();
/// Virtual tokens with trained keys and values in every block. Li and Liang 2021, arXiv:2101.00190.
const AdapterMethod& prefix_method();
/// Virtual tokens whose embeddings a trained network makes. Liu et al. 2021, arXiv:2103.10385.
const AdapterMethod& p_tuning_method();

/// Small MLPs after or beside sublayers. Houlsby et al. 2019, arXiv:1902.00751.
const AdapterMethod& bottleneck_method();

/// All methods.
std::span<const AdapterMethod* const> adapter_methods();

/// The row of a value of adapter.method.
const AdapterMethod& method_of(Method method);
/// The value of a row.
Method value_of(const AdapterMethod& method);

}  // namespace lora_dist
