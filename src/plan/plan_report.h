// The report of `plan`: request and predictions, as a table and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "src/plan/mesh_plan.h"

namespace lora_dist {

/// The length of a whole run.
struct RunLength {
  std::int64_t samples = 0;  // 0: only steps are given
  std::int64_t steps = 0;
  std::optional<double> hours;  // of training, without evaluations and checkpoints; only for devices
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
  std::vector<MemoryChange> changes;  // if it does not fit; the last entry is all of them together
  std::optional<RunLength> run;       // if train.max_steps or --samples give it
  MeshSearch search;
};

/// Throws Error(usage, collective) for options that contradict the configuration.
PlanReport make_plan_report(const std::string& name, const PlannedModel& model, const PlanOptions& options, int ranks);

/// Throws Error(usage, collective) if no mesh fits, naming the smallest memory that suffices and what to change.
void check_that_something_fits(const PlanReport& report);

std::string plan_text(const PlanReport& report);
nlohmann::ordered_json plan_json(const PlanReport& report);

/// "8 data x 2 tensor, base over 4".
std::string mesh_name(const PlannedMesh& mesh);

}  // namespace lora_dist
