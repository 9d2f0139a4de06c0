// Opens a configuration and a model folder as a run would, without weights, data or GPU.
#pragma once

#include <filesystem>
#include <vector>

#include "src/adapter/adapter_layout.h"
#include "src/base/base_format.h"
#include "src/config/config.h"
#include "src/model/model_config.h"
#include "src/report/console.h"

namespace lora_dist {

struct PlannedModel {
  Config config;                 // as in a run: the family's targets, a max_length within the model's positions
  std::filesystem::path folder;  // with config.json
  ModelSpec spec;
  bool has_weights = false;
  TensorDirectory directory;  // of the files; without weights, derived from config.json
  BaseFormat format;          // of the base
  AdapterLayout layout;
};

/// Opens model.path, or the folder of that name in `shipped` (folders of config.json files that come with the program) if it does
/// not exist. Warnings and notes as in a run. Throws Error: usage (model.path is not set, target modules that match nothing),
/// model.
PlannedModel open_planned_model(const Config& config, const std::vector<std::filesystem::path>& shipped, const Console& console);

}  // namespace lora_dist
