// The communicator for the operators' memory: NCCL between GPUs, or MPI through the host.
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

/// Identifies the machine: the first line of `boot_id` (Linux's /proc/sys/kernel/random/boot_id), or the host name if that is
/// missing.
std::string machine_identity(const std::filesystem::path& boot_id);

/// Collectives over memory of `stream`'s backend, between the ranks of `world`. communicator: nullopt means NCCL if it is built
/// in, there are several ranks, and each has its own device; else MPI. Collective. Throws Error(usage), the same on every rank,
/// for NCCL on CPUs, with a device shared by ranks, or in a build without NCCL.
std::unique_ptr<Communicator> make_data_plane(Communicator& world, std::optional<CommunicatorKind> communicator,
                                              const Stream& stream);

}  // namespace lora_dist
