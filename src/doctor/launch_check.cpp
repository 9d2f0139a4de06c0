// Compares the launcher's variables with MPI's numbers, and all-reduces a buffer.
#include "src/doctor/launch_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "src/comm/data_plane.h"
#include "src/doctor/environment.h"

namespace lora_dist {

namespace {

constexpr const char* kCheck = "MPI";

/// All-reduces half a MiB, enough for the transport's large-message protocol.
bool sums_arrive(Communicator& world) {
  std::vector<std::int64_t> values(1 << 16);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<std::int64_t>(i) * (world.rank() + 1);
  }
  world.all_reduce(values, Reduce::sum, WireKind::control);
  const std::int64_t ranks = world.size();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] != static_cast<std::int64_t>(i) * ranks * (ranks + 1) / 2) {
      return false;
    }
  }
  return true;
}

std::string described(const LaunchFacts& facts) {
  // MPI itself sets PMIx's variables in a process that is started alone.
  const std::string how =
      facts.launcher.empty() ? "without mpirun or srun" : "started by " + facts.launcher + (facts.pmix ? " with PMIx" : "");
  return fmt::format("{}, {} rank{} on {} machine{}, {}", facts.mpi, facts.ranks, facts.ranks == 1 ? "" : "s", facts.machines,
                     facts.machines == 1 ? "" : "s", how);
}

}  // namespace

LaunchFacts look_at_launch(Communicator& world) {
  LaunchFacts facts;
  facts.mpi = mpi_version();
  facts.ranks = world.size();
  const std::vector<std::string> machines = all_gather_strings(world, machine_identity(kBootId));
  facts.machines = static_cast<int>(std::set<std::string>(machines.begin(), machines.end()).size());
  facts.exchanged = sums_arrive(world);
  facts.pmix = !variable("PMIX_NAMESPACE").empty();
  if (const std::int64_t started = variable_number("OMPI_COMM_WORLD_SIZE"); started > 0) {
    facts.launcher = "mpirun";
    facts.started = started;
  } else if (!variable("SLURM_STEP_NUM_TASKS").empty() && !variable("SLURM_PROCID").empty() &&
             variable("SLURM_STEP_ID") != "4294967291") {  // the batch script itself
    facts.launcher = "srun";
    facts.started = variable_number("SLURM_STEP_NUM_TASKS");
  } else if (const std::int64_t of_pmi = variable_number("PMI_SIZE"); of_pmi > 0) {  // of MPICH and Intel MPI
    facts.launcher = "mpirun";
    facts.started = of_pmi;
  }
  return facts;
}

std::vector<Finding> judge_launch(const LaunchFacts& facts) {
  if (facts.started > 1 && facts.started != facts.ranks) {
    const std::string what =
        fmt::format("{} started {} processes, and MPI ({}) sees {}: they are not one job", facts.launcher, facts.started,
                    facts.mpi, facts.ranks == 1 ? "each alone" : fmt::format("{}", facts.ranks));
    const char* protocol = facts.mpi.starts_with("Open MPI") ? "pmix" : "pmi2";
    const std::string fix =
        facts.launcher == "srun"
            ? fmt::format("srun --mpi={} (srun --mpi=list shows what it offers), or mpirun within the allocation", protocol)
            : "take the mpirun of the MPI that the program was built with (lora_dist --version)";
    return {broken(kCheck, what, fix, ExitCode::communication)};
  }
  if (!facts.exchanged) {
    return {broken(kCheck, fmt::format("{}: sums over the ranks arrive with wrong numbers", described(facts)),
                   "try OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader,tcp; if that helps, the network's driver is at fault",
                   ExitCode::communication)};
  }
  return {ok(kCheck, described(facts))};
}

}  // namespace lora_dist
