// The parameters of an adapter: their offsets in one flat buffer, and their initial values.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/adapter/bottleneck.h"
#include "src/adapter/match_targets.h"
#include "src/adapter/method.h"
#include "src/adapter/prompt_encoder.h"
#include "src/adapter/trained_norm.h"
#include "src/adapter/trained_table.h"
#include "src/adapter/trained_vector.h"
#include "src/core/by_path.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

/// Which linears to adapt, with which rank and alpha.
struct AdapterSpec {
  int r = 16;
  double alpha = 32.0;
  double dropout = 0.0;
  bool rslora = false;
  std::vector<std::string> target_modules;  // as match_targets takes them; {"all-linear"} for every linear of the block
  const AdapterMethod* method = &lora_method();
  std::vector<std::string> exclude_modules = {};
  std::vector<std::int64_t> layers_to_transform = {};  // empty: all
  PathPattern<std::int64_t> rank_pattern = {};         // other ranks than r
  PathPattern<double> alpha_pattern = {};
  std::vector<std::string> feedforward_modules = {};  // of IA3: endings of paths whose inputs are scaled
  std::int64_t virtual_tokens = 0;                    // of prompt learning, which has only these
  std::optional<EncoderKind> encoder = {};            // that makes them
  std::int64_t encoder_hidden = 0;                    // 0: as wide as a virtual token's embedding
  BottleneckOptions bottleneck = {};
  LoraInit init = LoraInit::uniform;
  std::vector<std::string> modules_to_save = {};  // endings of paths whose modules are trained whole
  bool ensure_weight_tying = false;               // embedding and head of modules_to_save stay one table
  TrainedTokens trained_tokens = {};
  std::vector<std::string> trainable = {};  // of full fine-tuning: patterns of tensors' names; empty: all
};

/// The flat buffer: the parameter of virtual tokens; block by block, linear by linear (tensor_table.h's order), parameter by
/// parameter (the method's order); the base's small tensors, the trained norms, the bottlenecks, and the trained tables; the
/// encoder of virtual tokens. A method has one of these parts, several methods (joined_layout.h) one each.
struct AdapterLayout {
  const Family* family = nullptr;  // for the modules' names; may be null if nothing is adapted
  const AdapterMethod* method = &lora_method();
  std::vector<std::array<std::optional<AdaptedLinear>, kLinears>> blocks;
  std::vector<TrainedVector> vectors = {};  // of full fine-tuning, before the norms
  std::vector<TrainedNorm> norms = {};
  std::vector<TrainedTable> tables = {};
  Bottlenecks bottlenecks = {};
  std::int64_t count = 0;  // elements of the flat buffer
  /// The tensors of the flat buffer of frozen ones, once each: linears of equal sizes share them.
  std::vector<Parameter> frozen = {};
  std::int64_t frozen_count = 0;
  VirtualTokens virtual_tokens = {};
  std::optional<PromptEncoder> encoder = {};  // trained in place of the virtual tokens
  LoraInit init = LoraInit::uniform;          // uses_residual() of it: the linears need the initial parameters

  /// The first element of the norms, and their number.
  std::int64_t first_of_norms() const { return norms.empty() ? count : norms.front().parameters.front().offset; }
  std::int64_t norms_count() const;
  /// The front of the flat buffer that micro-batches use, and whose gradients they give.
  std::int64_t used_count() const { return encoder ? encoder->first : count; }
  std::int64_t trained_count() const { return encoder ? encoder->count : count; }
};

/// Throws Error(usage) naming the key and the entry that matches no linear, or a linear that two patterns match.
AdapterLayout make_adapter_layout(const ModelSpec& model, const AdapterSpec& spec);
/// The linears that spec adapts: target_modules without exclude_modules, in the blocks of layers_to_transform. Throws as
/// make_adapter_layout.
AdaptedLinears adapted_by(const ModelSpec& model, const AdapterSpec& spec);
/// Appends the parameters of bottlenecks.
void add_bottlenecks(AdapterLayout& layout, const Bottlenecks& bottlenecks);
/// Appends a norm's parameters. Norms must be added in the order of the flat buffer, after all linears.
void add_norm(AdapterLayout& layout, const TrainedNorm& norm);
/// Appends a trained table, after all norms.
void add_table(AdapterLayout& layout, const TrainedTable& table);
/// Appends a small tensor of the base, before all norms.
void add_vector(AdapterLayout& layout, const TrainedVector& vector);
/// The shortest target_modules that match what the layout adapts.
std::vector<std::string> module_names(const AdapterLayout& layout);
/// A layout in which nothing is adapted.
AdapterLayout empty_layout(const ModelSpec& model);
/// A layout of virtual tokens alone.
AdapterLayout virtual_layout(const ModelSpec& model, const AdapterMethod& method, std::int64_t virtual_tokens);
/// Adds the encoder that makes the virtual tokens. hidden 0: as wide as a virtual token's embedding.
void add_encoder(AdapterLayout& layout, const ModelSpec& model, EncoderKind kind, std::int64_t hidden);
/// Adapts one more linear and appends its parameters. Linears must be added in the order of the flat buffer.
void add_linear(AdapterLayout& layout, std::size_t layer, Linear linear, const LinearTraits& traits, float scale);

/// The numbers of trainable and of all parameters, worded as in PEFT's print_trainable_parameters.
std::string trainable_line(const AdapterLayout& layout, const ModelSpec& model);

/// One parameter of the flat buffer under PEFT's module path.
struct NamedParameter {
  std::string path;  // "model.layers.0.self_attn.q_proj"; empty: of the whole model
  Parameter parameter;
};
std::vector<NamedParameter> named_parameters(const AdapterLayout& layout);

/// Initialises all parameters by the method's rule (`d_initial`: VeRA's). A value depends on (seed, layer, linear, element)
/// alone.
void initialize_adapters(const AdapterLayout& layout, std::uint64_t seed, std::span<float> params,
                         LoraInit init = LoraInit::uniform, double d_initial = 0.1);

}  // namespace lora_dist
