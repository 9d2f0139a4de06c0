// The answer of `plan`: what is asked, what is predicted, as a table and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "src/plan/mesh_plan.h"

namespace lora_dist {

/// A whole run.
struct RunLength {
  std::int64_t samples = 0;  // 0: not given, the steps are
  std::int64_t steps = 0;
  std::optional<double> hours;  // of training; evaluations and checkpoints are not in it. Only for devices
};

/// A change of the configuration that saves memory on the same mesh.
struct MemoryChange {
  std::string what;  // "train.micro_batch = 1"
  std::int64_t memory = 0;
  bool fits = false;
};

struct PlanReport {
  std::string name;  // of the configuration
  PlannedModel model;
  PlanTarget target;
  StepShape step;
  MeshPlan plan;  // of the configuration's mesh
  bool fits = true;
  std::vector<MemoryChange> changes;  // where it does not fit; the last one is all of them together
  std::optional<RunLength> run;       // where train.max_steps or --samples tell it
  MeshSearch search;
};

/// Throws Error(usage, collective) for options that make no sense beside the configuration.
PlanReport make_plan_report(const std::string& name, const PlannedModel& model, const PlanOptions& options, int ranks);

/// Throws Error(usage, collective) where no mesh fits: the least that would do, and what to change.
void check_that_something_fits(const PlanReport& report);

std::string plan_text(const PlanReport& report);
nlohmann::ordered_json plan_json(const PlanReport& report);

/// "8 data x 2 tensor, base over 4".
std::string mesh_name(const PlannedMesh& mesh);

}  // namespace lora_dist
