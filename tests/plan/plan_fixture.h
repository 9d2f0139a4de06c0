// Models for plans: the shipped ones, and tiny ones with weights.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/config/load_config.h"
#include "src/plan/plan_report.h"

namespace lora_dist::test {

inline std::filesystem::path source(const std::string& path) { return std::filesystem::path(LORA_DIST_SOURCE_DIR) / path; }

/// A configuration of configs/, with settings.
inline PlannedModel shipped_model(const std::string& name, const std::vector<std::string>& sets = {}) {
  const Config config = load_config(source("configs/" + name + ".toml"), sets);
  return open_planned_model(config, {source("configs/models")}, Console{});
}

/// A folder of the repository, with settings.
inline PlannedModel folder_model(const std::string& folder, std::vector<std::string> sets = {}) {
  sets.push_back("model.path=" + source(folder).string());
  return open_planned_model(load_config("", sets), {}, Console{});
}

}  // namespace lora_dist::test
