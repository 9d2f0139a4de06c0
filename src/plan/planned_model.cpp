// Opens config.json, and the headers of weight files if they exist.
#include "src/plan/planned_model.h"

#include <fmt/format.h>

#include "src/adapter/adapter_bridge.h"
#include "src/adapter/peft_adapter.h"
#include "src/base/prequantized.h"
#include "src/config/load_config.h"
#include "src/core/error.h"
#include "src/io/base_store.h"
#include "src/io/gguf_model.h"
#include "src/job/adapter_setup.h"
#include "src/job/data_setup.h"
#include "src/job/full_setup.h"
#include "src/model/config_file.h"

namespace lora_dist {

namespace {

namespace fs = std::filesystem;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

fs::path find_folder(const std::string& path, const std::vector<fs::path>& shipped) {
  if (is_there(path)) {
    return path;
  }
  for (const fs::path& folder : shipped) {
    if (const fs::path found = folder / fs::path(path).filename(); is_there(found / "config.json")) {
      return found;
    }
  }
  return path;
}

/// The dtype of the weights in config.json: torch_dtype of transformers 4, dtype of 5; f32 without either.
DType dtype_of_weights(const fs::path& folder) {
  const ConfigFile file = open_config_file(folder);
  const std::string name = file.text_or("dtype", file.text_or("torch_dtype", "float32"));
  if (name == "float32") {
    return DType::f32;
  }
  if (name == "float16" || name == "bfloat16") {
    return name == "float16" ? DType::f16 : DType::bf16;
  }
  file.fail(fmt::format("weights are of type \"{}\"; float32, float16 and bfloat16 can be read", name.substr(0, 40)));
}

TensorDirectory implied_directory(const ModelSpec& spec, const fs::path& folder) {
  const DType dtype = dtype_of_weights(folder);
  TensorDirectory directory;
  for (const ModelTensor& tensor : model_tensors(spec)) {
    TensorInfo& info = directory.tensors[tensor.name];
    info.name = tensor.name;
    info.dtype = dtype;
    info.shape = tensor.shape;
    info.file = folder / "config.json";
  }
  return directory;
}

AdapterLayout planned_layout(const Config& config, const ModelSpec& spec) {
  if (!config.adapter.init_from.empty()) {
    return layout_of(read_peft_adapter(config.adapter.init_from), spec, config.adapter.init_from);
  }
  return configured_layout(config, spec);
}

}  // namespace

PlannedModel open_planned_model(const Config& config, const std::vector<fs::path>& shipped, const Console& console) {
  check_model_is_named(config);
  PlannedModel model;
  model.config = config;
  model.folder = find_folder(config.model.path, shipped);
  model.spec = read_model_config(model.folder);
  GrownVocabulary grown = vocabulary_of(config.adapter.init_from);
  add_configured_tokens(model.config, grown);
  grow_vocabulary(model.spec, grown);
  for (const std::string& warning : model.spec.warnings) {
    console.warn(warning);
  }
  choose_targets(model.config, model.spec);
  if (trains_base(model.config)) {
    check_trained_model(model.config, model.spec);
  }
  model.has_weights = find_gguf(model.folder).has_value();
  for (const char* file : {"model.safetensors", "model.safetensors.index.json", kBaseStoreFile}) {
    model.has_weights = model.has_weights || is_there(model.folder / file);
  }
  model.directory = model.has_weights ? read_model_directory(model.folder) : implied_directory(model.spec, model.folder);
  if (model.has_weights && trains_base(model.config)) {
    check_trained_folder(model.folder, model.spec);
  }
  const WantedFormat wanted = wanted_format(config);
  const std::optional<BaseFormat> stored = stored_format(model.spec, model.directory);
  model.format = stored ? agree_on_format(wanted, *stored, model.folder.string()) : wanted.format;
  model.layout = planned_layout(model.config, model.spec);
  fit_max_length(model.config, model.spec, model.layout.virtual_tokens.count, console);
  return model;
}

}  // namespace lora_dist
