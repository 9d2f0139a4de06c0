// Plans a mesh, and searches over meshes.
#include "src/plan/mesh_plan.h"

#include <algorithm>
#include <set>

namespace lora_dist {

std::int64_t MeshPlan::memory() const {
  std::int64_t bytes = most.back();
  for (const AssumedMemory& each : beside) {
    bytes += each.bytes;
  }
  return bytes;
}

const Planner::Footprint& Planner::footprint(const PlannedMesh& mesh) {
  const auto [at, fresh] = known_.try_emplace({mesh.tensor, mesh.shards, mesh.of_node});
  Footprint& footprint = at->second;
  for (int tensor_rank = 0; fresh && tensor_rank < mesh.tensor; ++tensor_rank) {
    const std::unique_ptr<PlannedRank> rank = plan_rank(model_, target_, mesh, tensor_rank);
    footprint.held.push_back(sum_by_kind(memory_of(*rank)));
    footprint.work.push_back(work_of_micro_batch(*rank, step_));
  }
  return footprint;
}

MeshPlan Planner::plan(const PlannedMesh& mesh) {
  const Footprint& known = footprint(mesh);
  MeshPlan plan;
  plan.mesh = mesh;
  for (int rank = 0; rank < mesh.ranks(); ++rank) {
    const MemoryByKind copy = sum_by_kind(memory_of_copy(model_, target_, mesh, rank));
    MemoryByKind held = known.held[static_cast<std::size_t>(rank % mesh.tensor)];
    for (std::size_t kind = 0; kind < held.size(); ++kind) {
      held[kind] += copy[kind];
      plan.least[kind] = rank == 0 ? held[kind] : std::min(plan.least[kind], held[kind]);
      plan.most[kind] = std::max(plan.most[kind], held[kind]);
    }
  }
  plan.beside = memory_beside(target_, mesh, model_.config.parallel.communicator);
  plan.wire = wire_of_step(model_, mesh, step_, known.work);
  if (target_.is_timed()) {
    for (const MicroBatchWork& work : known.work) {  // the slowest delays the others
      const StepTime time = time_of_step(model_, target_, mesh, step_, work);
      plan.time = !plan.time || time.total() > plan.time->total() ? time : *plan.time;
    }
  }
  return plan;
}

std::vector<PlannedMesh> meshes_of(const ModelSpec& spec, const Cluster& cluster, int ranks) {
  const std::int64_t most = std::min<std::int64_t>({spec.heads, spec.intermediate, spec.vocab, cluster.gpus_per_node, ranks});
  std::vector<PlannedMesh> meshes;
  for (int tensor = 1; tensor <= most; ++tensor) {
    if (ranks % tensor != 0) {
      continue;
    }
    const int data = ranks / tensor;
    const int of_node = std::max(1, cluster.gpus_per_node / tensor);
    for (const int shards : std::set<int>{1, data % of_node == 0 ? of_node : 1, data}) {
      meshes.push_back({data, tensor, std::min(shards, data)});
    }
  }
  return meshes;
}

namespace {

/// Of two equally fast meshes, the one with less memory is better: a hidden gather costs nothing.
bool is_better(const MeshPlan& plan, const std::optional<MeshPlan>& best) {
  if (!best) {
    return true;
  }
  const auto cost = [](const MeshPlan& of) { return std::pair(of.time ? of.time->total() : 0.0, of.memory()); };
  return cost(plan) < cost(*best);
}

}  // namespace

MeshSearch search_meshes(Planner& planner, const ModelSpec& spec, const Cluster& cluster, int ranks) {
  std::set<int> sizes = {ranks};
  for (int size = 1; size <= kMostRanks; size *= 2) {
    sizes.insert(size);
  }
  MeshSearch search;
  for (const int size : sizes) {
    std::optional<MeshPlan> best;
    for (const PlannedMesh& mesh : meshes_of(spec, cluster, size)) {
      if (planner.trains_base() && (mesh.shards != mesh.data || mesh.tensor > spec.kv_heads)) {
        continue;
      }
      const MeshPlan plan = planner.plan(mesh);
      if (!search.leanest || plan.memory() < search.leanest->memory()) {
        search.leanest = plan;
      }
      if (planner.fits(plan) && is_better(plan, best)) {
        best = plan;
      }
    }
    if (!best) {
      continue;
    }
    search.smallest = search.smallest ? search.smallest : best;
    search.fastest = size == ranks ? best : search.fastest;
    search.best.push_back(*best);
  }
  return search;
}

}  // namespace lora_dist
