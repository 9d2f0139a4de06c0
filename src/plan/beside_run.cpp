// Plans a finished run again, from its configuration.
#include "src/plan/beside_run.h"

#include <fmt/format.h>

#include <array>
#include <numeric>

#include "src/core/memory_report.h"
#include "src/plan/mesh_plan.h"

namespace lora_dist {

namespace {

/// The run's target, as far as memory depends on it: of the device only the operators' workspace.
PlanTarget target_of(const TrainingRun& run, std::int64_t program) {
  PlanTarget target;
  target.program_bytes = program;
  target.dtype = run.device->dtype;
  if (run.device->on_device()) {
    constexpr int kHopper = 90;
    target.backend = Backend::cuda;
    target.device = &find_device(run.device->gpu->capability >= kHopper ? "h100" : "a100");
  }
  return target;
}

std::int64_t sum_of(const WireBytes& wire) {
  return std::accumulate(wire.bytes.begin(), wire.bytes.end(), std::int64_t{0}) - wire[WireKind::control];
}

}  // namespace

std::string plan_beside_run(const TrainingRun& run, std::int64_t program) {
  std::array<std::int64_t, 1> held = {sum_by_kind(memory_of(*run.model)).back()};
  run.world->all_reduce(held, Reduce::max, WireKind::control);
  if (run.last_peak_bytes == 0) {
    return "";
  }
  PlannedModel model;
  model.config = run.config;
  model.folder = run.model->folder;
  model.spec = run.model->spec;
  model.directory = run.model->directory;
  model.format = run.model->base.format;
  model.layout = run.layout;
  const PlanTarget target = target_of(run, program);
  const StepShape step = step_shape(model.config, {}, model.layout.virtual_tokens);
  const MeshPlan plan =
      Planner(model, target, step).plan({run.mesh.data, run.mesh.tensor, run.model->base.shards, run.model->base.of_node});
  return fmt::format(
      "plan       memory of a rank: {} planned, {} held in buffers{}, {} at the peak of a process; wire of a step: {} planned "
      "for "
      "full sequences, {} in the last",
      human_bytes(plan.most.back()), human_bytes(held[0]),
      target.on_device() ? "" : fmt::format("; {} of a process planned", human_bytes(plan.memory())),
      human_bytes(run.last_peak_bytes), human_bytes(sum_of(plan.wire)), human_bytes(sum_of(run.last_wire)));
}

}  // namespace lora_dist
