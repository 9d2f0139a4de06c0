// Prints the report as text.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "src/adapter/full.h"
#include "src/core/with_commas.h"
#include "src/job/device.h"
#include "src/job/full_setup.h"
#include "src/plan/parse_quantities.h"
#include "src/plan/plan_report.h"
#include "src/report/progress.h"

namespace lora_dist {

namespace {

constexpr int kName = 22;  // column width, as in memory_table
constexpr int kNumber = 12;

std::string row(std::string_view name, const std::string& value) {
  return fmt::format("  {:<{}}{:>{}}\n", name, kName - 2, value, kNumber);
}

std::string head_text(const PlanReport& report) {
  const PlannedModel& model = report.model;
  const ModelSpec& spec = model.spec;
  const StepShape& step = report.step;
  const PlannedMesh& mesh = report.plan.mesh;
  std::string text = fmt::format(
      "plan       {}\nmodel      {}{}: {} layers, hidden {}, {} heads ({} kv), intermediate {}, vocabulary {}; base {}\n",
      report.name, model.folder.string(), model.has_weights ? "" : " (config.json alone)", spec.layers, spec.hidden, spec.heads,
      spec.kv_heads, spec.intermediate, spec.vocab, describe(model.format));
  text += fmt::format("{}{}\n", trains_base(model.config) ? "training   " : "adapter    ",
                      trains_base(model.config) ? trainable_line(trained_tensors(spec, model.config.train.trainable), spec)
                                                : trainable_line(model.layout, spec));
  text += fmt::format("mesh       {} rank{}: {}; {}\n", mesh.ranks(), mesh.ranks() == 1 ? "" : "s", mesh_name(mesh),
                      report.target.on_device()
                          ? fmt::format("{} on {}", name_of_compute(report.target.dtype), report.target.device->title)
                          : "fp32 on CPUs");
  text += fmt::format(
      "step       {} sequences of {} tokens (assumed to be so long{}), {} pass{} of up to {}; {} on the rank with most\n",
      step.sequences, step.sequence_tokens,
      step.samples_of_sequence > 1 ? fmt::format(", {} samples in each", step.samples_of_sequence) : "", step.micro_batches(),
      step.micro_batches() == 1 ? "" : "es", step.micro_batch, step.rounds(mesh.data));
  if (step.micro_batches() < mesh.data) {
    text += fmt::format(
        "note: {} of {} data ranks have no pass to compute; a smaller train.micro_batch or a larger "
        "train.global_batch gives them work\n",
        mesh.data - step.micro_batches(), mesh.data);
  }
  return text;
}

/// The table of a run, and memory outside the arenas.
std::string memory_text(const PlanReport& report) {
  const MeshPlan& plan = report.plan;
  std::string text = memory_table(plan.least, plan.most, plan.mesh.ranks());
  for (const AssumedMemory& each : plan.beside) {
    text += fmt::format("  {:<{}}{:>{}}  ({})\n", each.name, kName - 2, human_bytes(each.bytes),
                        plan.mesh.ranks() == 1 ? kNumber : 2 * kNumber, each.measured ? "as this process" : "assumed");
  }
  text += fmt::format("  {:<{}}{:>{}}\n", "all", kName - 2, human_bytes(plan.memory()),
                      plan.mesh.ranks() == 1 ? kNumber : 2 * kNumber);
  const std::int64_t limit = report.target.memory_limit;
  if (limit == 0) {
    return text;
  }
  if (report.fits) {
    return text + fmt::format("fits into {}: {} are left\n", human_bytes(limit), human_bytes(limit - plan.memory()));
  }
  text += fmt::format("does not fit into {}: {} too much\n", human_bytes(limit), human_bytes(plan.memory() - limit));
  for (const MemoryChange& change : report.changes) {
    text += fmt::format("  with {:<34}{:>{}}  {}\n", change.what, human_bytes(change.memory), kNumber,
                        change.fits ? "fits" : "does not");
  }
  return text;
}

std::string wire_text(const WireBytes& wire) {
  return "payload of a step, all ranks together\n" + row("base gather", human_bytes(wire[WireKind::base_gather])) +
         row("adapter gradient", human_bytes(wire[WireKind::adapter_gradient])) +
         row("tensor activation", human_bytes(wire[WireKind::tensor_activation])) + row("control", "little");
}

std::string rate_text(const PlanReport& report, const StepTime& time) {
  return fmt::format("{} tokens/s",
                     with_commas(static_cast<std::int64_t>(static_cast<double>(report.step.tokens()) / time.total())));
}

std::string time_text(const PlanReport& report) {
  if (!report.plan.time) {
    return "time of a step: not predicted for CPUs without --cpu-gflops (--device names a GPU)\n";
  }
  const StepTime& time = *report.plan.time;
  const Cluster& cluster = report.target.cluster;
  const std::string rates = report.target.on_device()
                                ? fmt::format("{:.0f} % of {:.0f} TFLOP/s reached", 100.0 * report.target.efficiency,
                                              report.target.flops() / report.target.efficiency / 1e12)
                                : fmt::format("{:.3g} GFLOP/s of a rank", report.target.flops() / 1e9);
  return fmt::format("time of a step (model: {}, {:.3g} GB/s in a node of {}, {:.3g} GB/s between nodes)\n", rates,
                     cluster.intra.rate / 1e9, cluster.gpus_per_node, cluster.inter.rate / 1e9) +
         row("compute", human_seconds(time.compute)) + row("dequantize", human_seconds(time.dequantize)) +
         row("base gather, waited", human_seconds(time.base_gather)) +
         row("tensor reductions", human_seconds(time.tensor_reductions)) +
         row("adapter all-reduce", human_seconds(time.adapter_all_reduce)) + row("step", human_seconds(time.total())) +
         fmt::format("  {}\n", rate_text(report, time));
}

std::string run_text(const PlanReport& report) {
  if (!report.run) {
    return "";
  }
  const RunLength& run = *report.run;
  std::string text = fmt::format("run        {} steps", with_commas(run.steps));
  if (run.samples > 0 && report.model.config.train.max_steps == 0) {
    text += fmt::format(" ({} samples, {} epoch{})", with_commas(run.samples), report.model.config.train.epochs,
                        report.model.config.train.epochs == 1.0 ? "" : "s");
  }
  return text +
         (run.hours ? fmt::format(": {:.3g} hours, without evaluations and checkpoints\n", *run.hours) : std::string("\n"));
}

std::string search_text(const PlanReport& report) {
  const bool timed = report.plan.time.has_value();
  std::string text =
      fmt::format("{:>7}  {:<42}{:>{}}{:>{}}\n", "ranks", timed ? "fastest mesh that fits" : "mesh with least memory", "memory",
                  kNumber - 2, timed ? "step" : "", kNumber - 2);
  for (const MeshPlan& plan : report.search.best) {
    text += fmt::format("{:>7}  {:<42}{:>{}}{:>{}}{}\n", plan.mesh.ranks(), mesh_name(plan.mesh), human_bytes(plan.memory()),
                        kNumber - 2, timed ? human_seconds(plan.time->total()) : "", kNumber - 2,
                        timed ? "  " + rate_text(report, *plan.time) : "");
  }
  return text;
}

std::string end_text(const PlanReport& report) {
  const MeshSearch& search = report.search;
  std::string text;
  if (search.smallest) {
    text += fmt::format("smallest   {} rank{}: {}\n", search.smallest->mesh.ranks(),
                        search.smallest->mesh.ranks() == 1 ? "" : "s", mesh_name(search.smallest->mesh));
  }
  if (search.fastest && search.fastest->time) {
    text += fmt::format(
        "fastest    {} rank{}: {} (parallel.tensor = {}, parallel.base_shards = \"{}\")\n", search.fastest->mesh.ranks(),
        search.fastest->mesh.ranks() == 1 ? "" : "s", mesh_name(search.fastest->mesh), search.fastest->mesh.tensor,
        search.fastest->mesh.shards == search.fastest->mesh.data ? "all" : std::to_string(search.fastest->mesh.shards));
  }
  return text;
}

}  // namespace

std::string plan_text(const PlanReport& report) {
  return head_text(report) + "\n" + memory_text(report) + "\n" + wire_text(report.plan.wire) + "\n" + time_text(report) +
         run_text(report) + "\n" + (report.search.best.empty() ? "" : search_text(report)) + end_text(report);
}

}  // namespace lora_dist
