// The order of the table: the most basic checks come first.
#include "src/doctor/examine.h"

#include "src/doctor/clock_check.h"
#include "src/doctor/core_check.h"
#include "src/doctor/device_check.h"
#include "src/doctor/folder_check.h"
#include "src/doctor/hdf5_check.h"
#include "src/doctor/launch_check.h"
#include "src/doctor/limit_check.h"
#include "src/doctor/name_check.h"
#include "src/doctor/nccl_check.h"
#include "src/doctor/slurm_check.h"

namespace lora_dist {

namespace {

void add(std::vector<Finding>& findings, const std::vector<Finding>& more) {
  findings.insert(findings.end(), more.begin(), more.end());
}

/// Findings of the job.
void add_of_rank_0(std::vector<Finding>& findings, const std::vector<Finding>& more, const Communicator& world) {
  if (world.rank() == 0) {
    for (const Finding& finding : more) {
      findings.push_back(of_job(finding));
    }
  }
}

void examine_files(const Examined& examined, Communicator& world, std::vector<Finding>& findings) {
  const TrialFolder trial(examined.folder, world);
  const FolderFacts folder = look_at_folder(examined.folder, trial, world);
  add(findings, judge_folder(folder));
  const SpaceFacts space = look_at_space(examined.folder, trial, world, examined.run_bytes, examined.keep);
  const bool tried = !trial.path().empty() && folder.sees_rank_0;
  if (tried) {
    add_of_rank_0(findings, judge_space(space), world);
  }
  add(findings, judge_hdf5(look_at_hdf5(tried ? trial.path() : std::filesystem::path(), world.rank())));
  world.barrier();  // before rank 0 removes the folder
}

}  // namespace

Diagnosis examine(const Examined& examined, Communicator& world, const ProcessInfo& process) {
  std::vector<Finding> findings;
  const LaunchFacts launch = look_at_launch(world);
  const NameFacts name = look_at_name(launch.machines);
  const CoreFacts cores = look_at_cores(process);
  const DeviceFacts device = look_at_device(process, examined.backend);
  add(findings, judge_launch(launch));
  add(findings, judge_name(name));
  add(findings, judge_cores(cores));
  add(findings, judge_device(device));
  add_of_rank_0(findings, judge_nccl(look_at_nccl(world, device.info.has_value(), examined.communicator)), world);
  examine_files(examined, world, findings);
  add(findings, judge_inputs(look_at_inputs(examined.inputs)));
  add(findings, judge_limits(look_at_limits(process, device.count)));
  add_of_rank_0(findings, judge_clocks(look_at_clocks(world)), world);
  const bool uses_devices = device.cuda != "none" && examined.backend != Backend::cpu;
  add(findings, judge_slurm(look_at_slurm(launch.ranks, cores.own, device.count, uses_devices)));
  return gather_findings(world, name.host, findings);
}

}  // namespace lora_dist
