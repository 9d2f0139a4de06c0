// Prints the report as JSON.
#include <algorithm>

#include "src/adapter/full.h"
#include "src/job/device.h"
#include "src/job/full_setup.h"
#include "src/plan/plan_report.h"

namespace lora_dist {

namespace {

using nlohmann::ordered_json;

/// "embedding and head" -> "embedding_and_head".
std::string key_of(std::string name) {
  std::erase_if(name, [](char c) { return c == '(' || c == ')'; });
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

ordered_json mesh_json(const PlannedMesh& mesh) {
  return {{"ranks", mesh.ranks()},
          {"data", mesh.data},
          {"tensor", mesh.tensor},
          {"base_shards", mesh.shards},
          {"of_node", mesh.of_node}};
}

ordered_json memory_json(const MeshPlan& plan) {
  ordered_json kinds = ordered_json::object();
  for (std::size_t kind = 0; kind < kMemoryKinds; ++kind) {
    kinds[key_of(std::string(name_of(static_cast<MemoryKind>(kind))))] = {{"least", plan.least[kind]}, {"most", plan.most[kind]}};
  }
  ordered_json assumed = ordered_json::object();
  for (const AssumedMemory& each : plan.beside) {
    assumed[key_of(each.name)] = each.bytes;
  }
  return {{"kinds", kinds},
          {"buffers", {{"least", plan.least.back()}, {"most", plan.most.back()}}},
          {"assumed", assumed},
          {"total", plan.memory()}};
}

ordered_json wire_json(const WireBytes& wire) {
  ordered_json json = ordered_json::object();
  for (const WireKind kind : {WireKind::base_gather, WireKind::adapter_gradient, WireKind::tensor_activation}) {
    json[std::string(name_of(kind))] = wire[kind];
  }
  return json;
}

ordered_json time_json(const std::optional<StepTime>& time) {
  if (!time) {
    return nullptr;
  }
  return {{"compute", time->compute},
          {"dequantize", time->dequantize},
          {"base_gather", time->base_gather},
          {"tensor_reductions", time->tensor_reductions},
          {"adapter_all_reduce", time->adapter_all_reduce},
          {"total", time->total()}};
}

ordered_json rate_json(const PlanReport& report, const std::optional<StepTime>& time) {
  return time ? ordered_json(static_cast<double>(report.step.tokens()) / time->total()) : ordered_json(nullptr);
}

/// A short form of a mesh of the search.
ordered_json short_json(const PlanReport& report, const std::optional<MeshPlan>& plan) {
  if (!plan) {
    return nullptr;
  }
  ordered_json json = mesh_json(plan->mesh);
  json["memory"] = plan->memory();
  json["step_seconds"] = plan->time ? ordered_json(plan->time->total()) : ordered_json(nullptr);
  json["tokens_per_second"] = rate_json(report, plan->time);
  return json;
}

ordered_json model_json(const PlannedModel& model) {
  const ModelSpec& spec = model.spec;
  return {{"folder", model.folder.string()},
          {"has_weights", model.has_weights},
          {"model_type", spec.model_type},
          {"layers", spec.layers},
          {"hidden", spec.hidden},
          {"parameters", parameter_count(spec)},
          {"trainable",
           trains_base(model.config) ? trained_tensors(spec, model.config.train.trainable).count : model.layout.trained_count()},
          {"base", describe(model.format)}};
}

ordered_json target_json(const PlanTarget& target) {
  const Cluster& cluster = target.cluster;
  return {{"backend", target.on_device() ? "cuda" : "cpu"},
          {"device", target.on_device() ? ordered_json(target.device->name) : ordered_json(nullptr)},
          {"compute_dtype", name_of_compute(target.dtype)},
          {"memory_limit", target.memory_limit > 0 ? ordered_json(target.memory_limit) : ordered_json(nullptr)},
          {"efficiency", target.efficiency},
          {"gpus_per_node", cluster.gpus_per_node},
          {"link_intra", cluster.intra.rate},
          {"link_inter", cluster.inter.rate},
          {"latency_intra", cluster.intra.latency},
          {"latency_inter", cluster.inter.latency}};
}

ordered_json run_json(const std::optional<RunLength>& run) {
  if (!run) {
    return nullptr;
  }
  return {{"samples", run->samples},
          {"steps", run->steps},
          {"hours", run->hours ? ordered_json(*run->hours) : ordered_json(nullptr)}};
}

}  // namespace

ordered_json plan_json(const PlanReport& report) {
  ordered_json json;
  json["configuration"] = report.name;
  json["model"] = model_json(report.model);
  json["target"] = target_json(report.target);
  json["mesh"] = mesh_json(report.plan.mesh);
  json["step"] = {{"sequences", report.step.sequences},
                  {"tokens", report.step.tokens()},
                  {"target_tokens", report.step.targets()},
                  {"passes", report.step.micro_batches()},
                  {"rounds", report.step.rounds(report.plan.mesh.data)}};
  json["memory"] = memory_json(report.plan);
  json["fits"] = report.target.memory_limit > 0 ? ordered_json(report.fits) : ordered_json(nullptr);
  json["changes"] = ordered_json::array();
  for (const MemoryChange& change : report.changes) {
    json["changes"].push_back({{"change", change.what}, {"memory", change.memory}, {"fits", change.fits}});
  }
  json["wire_bytes"] = wire_json(report.plan.wire);
  json["step_seconds"] = time_json(report.plan.time);
  json["tokens_per_second"] = rate_json(report, report.plan.time);
  json["run"] = run_json(report.run);
  json["smallest"] = short_json(report, report.search.smallest);
  json["fastest"] = short_json(report, report.plan.time ? report.search.fastest : std::nullopt);
  json["meshes"] = ordered_json::array();
  for (const MeshPlan& plan : report.search.best) {
    json["meshes"].push_back(short_json(report, plan));
  }
  return json;
}

}  // namespace lora_dist
