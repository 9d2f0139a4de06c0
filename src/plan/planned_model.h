// A configuration and a model folder as a run would open them, without weights, data or GPU.
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
  Config config;                 // as it would run: the family's targets, a max_length that the model has
  std::filesystem::path folder;  // with config.json
  ModelSpec spec;
  bool has_weights = false;
  TensorDirectory directory;  // of the files; without weights, what config.json implies
  BaseFormat format;          // of the base
  AdapterLayout layout;
};

/// Opens model.path; where there is no such folder, one of that name in `shipped` (folders of config.json files that come with
/// the program). Warnings and notes as in a run. Throws Error: usage (model.path is not set, target modules that match nothing),
/// model.
PlannedModel open_planned_model(const Config& config, const std::vector<std::filesystem::path>& shipped, const Console& console);

}  // namespace lora_dist
