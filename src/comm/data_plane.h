// The communicator of the operators' memory: NCCL between GPUs, or MPI through the host.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "kernels/common/stream.h"
#include "src/comm/communicator.h"
#include "src/core/choices.h"

namespace lora_dist {

inline constexpr const char* kBootId = "/proc/sys/kernel/random/boot_id";

/// The same for all processes of a machine, another for each machine: the first line of `boot_id` (Linux's
/// /proc/sys/kernel/random/boot_id), or the host name where there is none.
std::string machine_identity(const std::filesystem::path& boot_id);

/// Collectives over memory of `stream`'s backend, between the ranks of `world`. communicator: nullopt is NCCL where it is built
/// in, there are several ranks, and each has a device of its own, and else MPI. Collective. Throws Error(usage), the
/// same on every rank, for NCCL on CPUs, where several ranks share a device, or in a build without it.
std::unique_ptr<Communicator> make_data_plane(Communicator& world, std::optional<CommunicatorKind> communicator,
                                              const Stream& stream);

}  // namespace lora_dist
