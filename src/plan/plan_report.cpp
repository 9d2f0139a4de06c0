// Gathers the predictions, and searches for changes that save memory.
#include "src/plan/plan_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <functional>

#include "src/core/error.h"
#include "src/data/sampler.h"

namespace lora_dist {

namespace {

std::optional<RunLength> run_length(const PlanReport& report, const PlanOptions& options) {
  const TrainConfig& train = report.model.config.train;
  if (options.samples == 0 && train.max_steps == 0) {
    return std::nullopt;
  }
  RunLength run;
  run.samples = options.samples;
  const std::int64_t of_sequence = report.step.samples_of_sequence;
  const std::int64_t sequences = (options.samples + of_sequence - 1) / of_sequence;
  run.steps = train.max_steps > 0 ? train.max_steps
                                  : static_cast<std::int64_t>(std::ceil(
                                        train.epochs * static_cast<double>(steps_per_epoch(sequences, train.global_batch))));
  if (report.plan.time) {
    run.hours = static_cast<double>(run.steps) * report.plan.time->total() / 3600.0;
  }
  return run;
}

/// A change to the configuration that the user may accept.
struct Remedy {
  std::string what;
  bool helps;  // the configuration has another value
  std::function<void(PlannedModel&, PlannedMesh&)> apply;
};

std::vector<Remedy> remedies(const PlanReport& report) {
  const Config& config = report.model.config;
  return {{"model.quantization = \"nf4\"", report.model.format.quantization == Quantization::none,
           [](PlannedModel& model, PlannedMesh&) { model.format = BaseFormat{}; }},
          {"train.recompute = \"block\"", config.train.recompute != Recompute::block,
           [](PlannedModel& model, PlannedMesh&) { model.config.train.recompute = Recompute::block; }},
          {"train.micro_batch = 1", config.train.micro_batch > 1,
           [](PlannedModel& model, PlannedMesh&) { model.config.train.micro_batch = 1; }},
          {"train.micro_batches_in_flight = 1", config.train.micro_batches_in_flight > 1,
           [](PlannedModel& model, PlannedMesh&) { model.config.train.micro_batches_in_flight = 1; }},
          {"parallel.base_shards = \"all\"", report.plan.mesh.shards < report.plan.mesh.data,
           [](PlannedModel&, PlannedMesh& mesh) { mesh.shards = mesh.data; }},
          {"parallel.base_device = \"host\"", report.target.on_device() && config.parallel.base_device != BaseDevice::host,
           [](PlannedModel& model, PlannedMesh&) { model.config.parallel.base_device = BaseDevice::host; }}};
}

MemoryChange try_change(const PlanReport& report, const std::string& what, const PlannedModel& model, const PlannedMesh& mesh) {
  StepShape step = report.step;
  step.micro_batch = std::min<std::int64_t>(step.micro_batch, model.config.train.micro_batch);
  step.micro_batches_in_flight = model.config.train.micro_batches_in_flight;
  Planner planner(model, report.target, step);
  const MeshPlan plan = planner.plan(mesh);
  return {what, plan.memory(), planner.fits(plan)};
}

std::vector<MemoryChange> memory_changes(const PlanReport& report) {
  std::vector<MemoryChange> changes;
  PlannedModel all = report.model;
  PlannedMesh all_mesh = report.plan.mesh;
  for (const Remedy& remedy : remedies(report)) {
    if (!remedy.helps) {
      continue;
    }
    PlannedModel model = report.model;
    PlannedMesh mesh = report.plan.mesh;
    remedy.apply(model, mesh);
    remedy.apply(all, all_mesh);
    changes.push_back(try_change(report, remedy.what, model, mesh));
  }
  if (changes.size() > 1) {
    changes.push_back(try_change(report, "all of these", all, all_mesh));
  }
  return changes;
}

}  // namespace

PlanReport make_plan_report(const std::string& name, const PlannedModel& model, const PlanOptions& options, int ranks) {
  PlanReport report;
  report.name = name;
  report.model = model;
  report.target = choose_target(options, model.config);
  report.step = step_shape(model.config, options, model.layout.virtual_tokens);
  Planner planner(report.model, report.target, report.step);
  report.plan = planner.plan(mesh_of(model.config, ranks, report.target));
  report.fits = planner.fits(report.plan);
  report.run = run_length(report, options);
  report.search = search_meshes(planner, model.spec, report.target.cluster, ranks);
  if (report.target.memory_limit == 0) {
    report.search.smallest.reset();  // without a limit every mesh fits
  }
  if (!report.fits) {
    report.changes = memory_changes(report);
  }
  return report;
}

void check_that_something_fits(const PlanReport& report) {
  if (report.search.smallest || report.fits) {
    return;
  }
  const MeshPlan& leanest = *report.search.leanest;
  std::string more;
  for (const MemoryChange& change : report.changes) {
    more += change.fits ? fmt::format("; on the mesh that was asked for, {} would fit", change.what) : "";
  }
  throw Error(ExitCode::usage,
              fmt::format("no mesh of up to {} ranks fits into {}: the least is {} a rank ({}, {} ranks){}\nUse a smaller "
                          "train.micro_batch or data.max_length, train.recompute = \"block\", or more memory.",
                          kMostRanks, human_bytes(report.target.memory_limit), human_bytes(leanest.memory()),
                          mesh_name(leanest.mesh), leanest.mesh.ranks(), more),
              ErrorScope::collective);
}

std::string mesh_name(const PlannedMesh& mesh) {
  const std::string base = mesh.of_node       ? fmt::format("base once for {} of a node", mesh.shards)
                           : mesh.shards == 1 ? "base whole on each"
                                              : fmt::format("base over {}", mesh.shards);
  return fmt::format("{} data x {} tensor, {}", mesh.data, mesh.tensor, base);
}

}  // namespace lora_dist
