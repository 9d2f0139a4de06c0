// Checks cores, threads and binding.
#include "src/doctor/core_check.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>

#include "src/doctor/environment.h"

namespace lora_dist {

namespace {

constexpr const char* kCheck = "cores";

std::string plural(std::int64_t count, const char* thing) { return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s"); }

}  // namespace

CoreFacts look_at_cores(const ProcessInfo& process) {
  CoreFacts facts;
  facts.ranks = process.node_ranks;
  cpu_set_t mask;
  CPU_ZERO(&mask);
  facts.own = sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : 1;
  facts.together = std::max<std::int64_t>(process.node_cores, facts.own);
  const std::int64_t share = variable_number("SLURM_CPUS_ON_NODE");
  facts.of_job = share > 0 ? share : sysconf(_SC_NPROCESSORS_ONLN);
  facts.threads = threads_per_rank(process);
  facts.threads_were_set = variable_number("OMP_NUM_THREADS") > 0;
  return facts;
}

std::vector<Finding> judge_cores(const CoreFacts& facts) {
  const std::string ranks = plural(facts.ranks, "rank") + " of a machine";
  if (facts.ranks > facts.together) {
    return {warning(kCheck, fmt::format("{} share {}", ranks, plural(facts.together, "core")),
                    facts.of_job >= facts.ranks
                        ? "they are bound too narrowly: mpirun --bind-to none, or srun --cpu-bind=cores with --cpus-per-task"
                        : "start fewer ranks; for a trial, launch/local_mpi.sh lets waiting ranks give up their core")};
  }
  const std::int64_t threads = std::int64_t{facts.threads} * facts.ranks;
  if (facts.threads_were_set && threads > facts.together) {
    return {
        warning(kCheck,
                fmt::format("OMP_NUM_THREADS = {} with {} makes {} threads on {}", facts.threads, ranks, threads,
                            plural(facts.together, "core")),
                fmt::format("OMP_NUM_THREADS={}, or leave it unset", std::max<std::int64_t>(1, facts.together / facts.ranks)))};
  }
  // By default Open MPI binds each of one or two ranks to one core.
  if (facts.together * 2 <= facts.of_job) {
    return {warning(kCheck, fmt::format("{} may run on {} of {}", ranks, plural(facts.together, "core"), facts.of_job),
                    fmt::format("mpirun --map-by slot:PE={0}, mpirun --bind-to none, or srun --cpus-per-task={0}",
                                std::max<std::int64_t>(1, facts.of_job / facts.ranks)))};
  }
  return {ok(kCheck, fmt::format("{} on {}, {} each", ranks, plural(facts.together, "core"), plural(facts.threads, "thread")))};
}

}  // namespace lora_dist
