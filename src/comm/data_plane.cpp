// Chooses the transport for device memory.
#include "src/comm/data_plane.h"

#include <fstream>
#include <set>

#include "src/comm/agree.h"
#include "src/comm/host_staged.h"
#include "src/comm/nccl_communicator.h"
#include "src/comm/process.h"
#include "src/core/error.h"

namespace lora_dist {

namespace {

/// Compares PCI addresses, since device numbers depend on the GPUs that the launcher shows each rank. Machines are identified by
/// boot id: containers on different machines may share a host name, and containers on one machine may differ in it.
bool every_rank_has_its_own_device(Communicator& world) {
  std::string mine;
  run_together(world, [&] { mine = machine_identity(kBootId) + " " + nccl_device_address(); });
  const std::vector<std::string> all = all_gather_strings(world, mine);
  return std::set<std::string>(all.begin(), all.end()).size() == all.size();
}

/// The first rank's reason not to use NCCL; the library may be missing on some nodes only.
std::string why_no_nccl_anywhere(Communicator& world) { return first_problem(world, why_no_nccl()); }

}  // namespace

std::string machine_identity(const std::filesystem::path& boot_id) {
  std::string id;
  if (std::ifstream file(boot_id); std::getline(file, id) && !id.empty()) {
    return id;
  }
  return host_name();
}

std::unique_ptr<Communicator> make_data_plane(Communicator& world, std::optional<CommunicatorKind> communicator,
                                              const Stream& stream) {
  if (communicator == CommunicatorKind::mpi) {
    return make_host_staged(world.split(0), stream);
  }
  const std::string problem = stream.backend == Backend::cuda ? why_no_nccl_anywhere(world) : "it is made for GPUs";
  if (communicator == CommunicatorKind::nccl && !problem.empty()) {
    throw Error(ExitCode::usage,
                "parallel.communicator = \"nccl\", but " + problem + "; use parallel.communicator = \"mpi\" or \"auto\"",
                ErrorScope::collective);
  }
  const bool own_devices = problem.empty() && every_rank_has_its_own_device(world);
  if (communicator == CommunicatorKind::nccl && !own_devices) {
    throw Error(ExitCode::usage,
                "parallel.communicator = \"nccl\" needs a GPU for each rank, and here ranks share one; use "
                "parallel.communicator = \"mpi\", or start as many ranks on a node as it has GPUs",
                ErrorScope::collective);
  }
  const bool nccl = communicator == CommunicatorKind::nccl || (own_devices && world.size() > 1);
  return nccl ? make_nccl(world, stream) : make_host_staged(world.split(0), stream);
}

}  // namespace lora_dist
