// Compares SLURM's variables with the job.
#include "src/doctor/slurm_check.h"

#include <fmt/format.h>

#include <chrono>

#include "src/doctor/environment.h"

namespace lora_dist {

namespace {

constexpr const char* kCheck = "SLURM";
constexpr std::int64_t kShort = 600;  // seconds; less is barely enough for a step and a checkpoint of a large model

}  // namespace

SlurmFacts look_at_slurm(int ranks, std::int64_t cores, int devices, bool devices_count) {
  SlurmFacts facts;
  facts.job = variable("SLURM_JOB_ID");
  facts.nodes = variable_number("SLURM_JOB_NUM_NODES");
  facts.tasks = variable_number("SLURM_NTASKS");
  facts.cpus_per_task = variable_number("SLURM_CPUS_PER_TASK");
  facts.gpus_on_node = variable_number("SLURM_GPUS_ON_NODE");
  facts.restarts = variable_number("SLURM_RESTART_COUNT");
  facts.ends = variable_number("SLURM_JOB_END_TIME");
  facts.now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  facts.ranks = ranks;
  facts.cores = cores;
  facts.devices = devices;
  facts.devices_count = devices_count;
  return facts;
}

std::vector<Finding> judge_slurm(const SlurmFacts& facts) {
  if (facts.job.empty()) {
    return {ok(kCheck, "this is no SLURM job")};
  }
  std::vector<Finding> findings;
  if (facts.tasks > 0 && facts.tasks != facts.ranks) {
    findings.push_back(warning(
        kCheck,
        fmt::format("the job has {} tasks, and the program {} rank{}", facts.tasks, facts.ranks, facts.ranks == 1 ? "" : "s"),
        "start it with srun --mpi=pmix, or mpirun without -np, which take all of them"));
  }
  if (facts.cpus_per_task > facts.cores) {  // since 22.05 srun reads only SRUN_CPUS_PER_TASK
    findings.push_back(warning(kCheck, fmt::format("--cpus-per-task is {}, and a rank has {}", facts.cpus_per_task, facts.cores),
                               "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK before srun; with mpirun --map-by slot:PE=N"));
  }
  if (facts.devices_count && facts.gpus_on_node > 0 && facts.devices == 0) {
    findings.push_back(warning(kCheck, fmt::format("{} GPUs were given on this node, and a rank sees none", facts.gpus_on_node),
                               "srun --gpus-per-task=1, or --gpus-per-node in place of it; look at CUDA_VISIBLE_DEVICES"));
  }
  if (facts.ends > 0 && facts.ends - facts.now < kShort) {
    findings.push_back(warning(kCheck, fmt::format("the job ends in {} s", facts.ends - facts.now), "ask for more --time"));
  }
  if (findings.empty()) {
    findings.push_back(
        ok(kCheck, fmt::format("job {}, {} node{}, {} task{}, restarted {} times", facts.job, facts.nodes,
                               facts.nodes == 1 ? "" : "s", facts.tasks, facts.tasks == 1 ? "" : "s", facts.restarts)));
  }
  return findings;
}

}  // namespace lora_dist
