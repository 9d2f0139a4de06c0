// Checks of a whole configuration.
#include "src/config/check_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>

#include "kernels/common/block_size.h"
#include "src/config/config_keys.h"
#include "src/config/read_toml.h"
#include "src/core/words.h"

namespace lora_dist {
namespace {

template <class Value, class Sought>
bool contains(const std::vector<Value>& values, const Sought& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

/// A key of adapter.* that has a meaning for some methods alone.
struct MethodOption {
  const char* key;
  std::array<std::optional<Method>, 7> of;

  std::vector<Method> methods() const {
    std::vector<Method> all;
    for (const std::optional<Method>& method : of) {
      if (method) {
        all.push_back(*method);
      }
    }
    return all;
  }
};
/// Methods that adapt modules of the model; the others put virtual tokens before the text.
constexpr std::array<std::optional<Method>, 7> kOfModules = {Method::lora, Method::dora,    Method::ia3,       Method::ln_tuning,
                                                             Method::vera, Method::adalora, Method::bottleneck};
constexpr std::array<MethodOption, 39> kMethodOptions = {
    {{"adapter.exclude_modules", {Method::lora, Method::dora, Method::ia3, Method::vera, Method::adalora}},
     {"adapter.layers_to_transform", {Method::lora, Method::dora, Method::ia3, Method::vera, Method::adalora}},
     {"adapter.bottleneck.placement", {Method::bottleneck}},
     {"adapter.bottleneck.reduction", {Method::bottleneck}},
     {"adapter.bottleneck.activation", {Method::bottleneck}},
     {"adapter.rslora", {Method::lora, Method::dora}},
     {"adapter.rank_pattern", {Method::lora, Method::dora}},
     {"adapter.alpha_pattern", {Method::lora, Method::dora}},
     {"adapter.init", {Method::lora, Method::dora}},
     {"adapter.modules_to_save", {Method::lora, Method::dora}},
     {"adapter.ensure_weight_tying", {Method::lora, Method::dora}},
     {"adapter.trainable_token_indices", {Method::lora, Method::dora}},
     {"tokenizer.add_tokens", {Method::lora, Method::dora}},
     {"tokenizer.add_special_tokens", {Method::lora, Method::dora}},
     {"adapter.loraplus_ratio", {Method::lora, Method::dora}},
     {"adapter.ia3.feedforward_modules", {Method::ia3}},
     {"adapter.vera.d_initial", {Method::vera}},
     {"adapter.vera.projection_key", {Method::vera}},
     {"adapter.vera.save_projection", {Method::vera}},
     {"adapter.adalora.init_r", {Method::adalora}},
     {"adapter.adalora.target_r", {Method::adalora}},
     {"adapter.adalora.tinit", {Method::adalora}},
     {"adapter.adalora.tfinal", {Method::adalora}},
     {"adapter.adalora.delta_t", {Method::adalora}},
     {"adapter.adalora.beta1", {Method::adalora}},
     {"adapter.adalora.beta2", {Method::adalora}},
     {"adapter.adalora.orth_reg_weight", {Method::adalora}},
     {"adapter.r", kOfModules},
     {"adapter.alpha", kOfModules},
     {"adapter.dropout", kOfModules},
     {"adapter.target_modules", {Method::lora, Method::dora, Method::ia3, Method::ln_tuning, Method::vera, Method::adalora}},
     {"adapter.prompt.virtual_tokens", {Method::prompt, Method::p_tuning}},
     {"adapter.prompt.init", {Method::prompt}},
     {"adapter.prompt.text", {Method::prompt}},
     {"adapter.prompt.encoder", {Method::p_tuning}},
     {"adapter.prompt.encoder_hidden", {Method::p_tuning}},
     {"adapter.prefix.virtual_tokens", {Method::prefix}},
     {"adapter.prefix.projection", {Method::prefix}},
     {"adapter.prefix.hidden", {Method::prefix}}}};

/// "lora and dora".
std::string words_of(const std::vector<Method>& methods) {
  std::vector<std::string_view> words;
  std::transform(methods.begin(), methods.end(), std::back_inserter(words), [](Method each) { return word_of(kMethods, each); });
  return joined_words(words, "and");
}

/// True if the key has another value than its default: a printed configuration names every key.
bool is_changed(const Config& config, const char* name) {
  const Key* key = find_key(name);
  return key->text(config) != key->text(Config{});
}

/// The first option with another value than its default that adapter.method does not read; null: there is none.
const MethodOption* find_option_of_another_method(const Config& config) {
  const auto* const found = std::find_if(kMethodOptions.begin(), kMethodOptions.end(), [&](const MethodOption& option) {
    const std::vector<Method> methods = option.methods();
    return is_changed(config, option.key) &&
           std::ranges::none_of(config.adapter.method.all(), [&](Method method) { return contains(methods, method); });
  });
  return found == kMethodOptions.end() ? nullptr : found;
}

/// DoRA has the other initialisations alone.
bool is_init_of_another_method(const Config& config) {
  return needs_weights(config.adapter.init) && config.adapter.method.first != Method::lora;
}

ConfigProblem problem_of_init(const Config& config) {
  const LoraInit init = config.adapter.init;
  if (is_init_of_another_method(config)) {
    return {{"adapter.init", "adapter.method"},
            fmt::format("adapter.init = \"{}\" is an option of lora, and adapter.method is {}; leave it out",
                        word_of(kLoraInits, init), words_of(config.adapter.method.all()))};
  }
  if (init == LoraInit::loftq && config.model.quantization == Quantization::none) {
    return {
        {"adapter.init", "model.quantization"},
        "adapter.init = \"loftq\" starts from what quantization loses, and model.quantization is none; set model.quantization "
        "to nf4, fp4 or int8, or leave adapter.init out"};
  }
  return {};
}

ConfigProblem problem_of_full(const Config& config) {
  const std::vector<Method> methods = config.adapter.method.all();
  if (!contains(methods, Method::full)) {
    return config.train.trainable.empty()
               ? ConfigProblem{}
               : ConfigProblem{{"train.trainable", "adapter.method"},
                               fmt::format("train.trainable chooses tensors of the base, which adapter.method = {} does not "
                                           "train; set adapter.method = \"full\", or leave it out",
                                           words_of(methods))};
  }
  if (methods.size() > 1) {
    return {{"adapter.method"}, "adapter.method = \"full\" trains the whole base, and no method beside it; leave the others out"};
  }
  if (config.model.quantization != Quantization::none) {
    return {
        {"adapter.method", "model.quantization"},
        fmt::format("adapter.method = \"full\" trains the weights of the base, which must be floats, and model.quantization is "
                    "\"{}\"; set model.quantization = \"none\", or choose another method",
                    word_of(kQuantizations, config.model.quantization))};
  }
  if (!config.adapter.init_from.empty()) {
    return {
        {"adapter.init_from", "adapter.method"},
        "adapter.init_from names an adapter, and adapter.method = \"full\" trains none; merge the adapter into the model first "
        "(lora_dist merge), and name that folder in model.path"};
  }
  if (config.parallel.base_device == BaseDevice::host) {
    return {{"parallel.base_device", "adapter.method"},
            "parallel.base_device = \"host\" keeps the base beside the GPU, and adapter.method = \"full\" trains it there; use "
            "\"auto\""};
  }
  return {};
}

ConfigProblem problem_of_virtual_tokens(const AdapterConfig& adapter) {
  if (!adapter.method.beside.empty() && (contains(adapter.method.all(), Method::p_tuning) || adapter.prefix.projection)) {
    return {
        {"adapter.method", "adapter.prefix.projection"},
        "virtual tokens that an encoder makes (p_tuning, prefix with a projection) are trained alone; name no other method in "
        "adapter.method, or take prompt or prefix without projection"};
  }
  const PromptConfig& prompt = adapter.prompt;
  if (adapter.prefix.hidden > 0 && !adapter.prefix.projection) {
    return {{"adapter.prefix.hidden", "adapter.prefix.projection"},
            "adapter.prefix.hidden is the width of the projection, and adapter.prefix.projection is false; set it, or leave the "
            "width out"};
  }
  const bool needs_text = prompt.init == PromptInit::text;
  if (needs_text && prompt.text.empty()) {
    return {{"adapter.prompt.init", "adapter.prompt.text"},
            "adapter.prompt.init = \"text\" needs the text: set adapter.prompt.text"};
  }
  if (!needs_text && !prompt.text.empty()) {
    return {{"adapter.prompt.text", "adapter.prompt.init"},
            "adapter.prompt.text has an effect only with adapter.prompt.init = \"text\"; set that, or leave the text out"};
  }
  return {};
}

}  // namespace

ConfigProblem option_of_another_method(const Config& config) {
  const MethodOption* const option = find_option_of_another_method(config);
  if (option == nullptr) {
    return {};
  }
  return {{option->key, "adapter.method"},
          fmt::format("{} is an option of {}, and adapter.method is {}; leave it out", option->key, words_of(option->methods()),
                      words_of(config.adapter.method.all()))};
}

std::vector<std::string> leave_out_options_of_other_methods(Config& config) {
  std::vector<std::string> names;
  const auto leave_out = [&](const char* name) {
    const Key* const key = find_key(name);
    const toml::table fallback = parse_toml_value(key->text(Config{}));
    key->read(config, *fallback.get("value"));
    config.origins[name] = "default";
    names.emplace_back(name);
  };
  while (const MethodOption* const option = find_option_of_another_method(config)) {
    leave_out(option->key);
  }
  if (is_init_of_another_method(config)) {
    leave_out("adapter.init");
  }
  return names;
}

namespace {

/// What is trained besides the linear layers needs a method alone.
ConfigProblem problem_of_trained_modules(const Config& config) {
  for (const char* key :
       {"adapter.modules_to_save", "adapter.trainable_token_indices", "tokenizer.add_tokens", "tokenizer.add_special_tokens"}) {
    if (!is_changed(config, key)) {
      continue;
    }
    if (!config.adapter.method.beside.empty()) {
      return {{key, "adapter.method"}, fmt::format("{} works with one method alone, and adapter.method has several", key)};
    }
  }
  return {};
}

}  // namespace

ConfigProblem find_contradiction(const Config& config) {
  if (!is_block_size(config.model.block_size)) {
    return {{"model.block_size"},
            "model.block_size must be a power of two (got " + std::to_string(config.model.block_size) + ")"};
  }
  if (contains(config.adapter.target_modules, "all-linear") && config.adapter.target_modules.size() > 1) {
    return {{"adapter.target_modules"}, "adapter.target_modules is either \"all-linear\" or a list of names, not both"};
  }
  if (const ConfigProblem problem = option_of_another_method(config); !problem.keys.empty()) {
    return problem;
  }
  if (const AdaLoraOptions& adalora = config.adapter.adalora; adalora.target_r > adalora.init_r) {
    return {{"adapter.adalora.target_r", "adapter.adalora.init_r"},
            fmt::format("adapter.adalora.target_r ({}) must be at most adapter.adalora.init_r ({})", adalora.target_r,
                        adalora.init_r)};
  }
  if (const ConfigProblem problem = problem_of_init(config); !problem.keys.empty()) {
    return problem;
  }
  if (const ConfigProblem problem = problem_of_trained_modules(config); !problem.keys.empty()) {
    return problem;
  }
  if (const ConfigProblem problem = problem_of_full(config); !problem.keys.empty()) {
    return problem;
  }
  if (const ConfigProblem problem = problem_of_virtual_tokens(config.adapter); !problem.keys.empty()) {
    return problem;
  }
  if (!contains(config.eval.metrics, config.eval.best_metric)) {
    return {{"eval.best_metric", "eval.metrics"},
            fmt::format("eval.best_metric must be one of eval.metrics (got \"{}\")", word_of(kMetrics, config.eval.best_metric))};
  }
  if (config.train.early_stopping_patience > 0 && config.data.validation.empty() && config.data.validation_split == 0.0) {
    return {{"train.early_stopping_patience", "data.validation_split", "data.validation"},
            "train.early_stopping_patience needs validation data: give data.validation or a data.validation_split above 0"};
  }
  return {};
}

}  // namespace lora_dist
