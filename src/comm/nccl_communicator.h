// Communicator over NCCL, for the memory of GPUs.
#pragma once

#include <memory>
#include <string>

#include "kernels/common/stream.h"
#include "src/comm/communicator.h"

namespace lora_dist {

/// Why make_nccl would throw, as a part of a sentence: a build without NCCL, or a machine without its library. Empty if NCCL is
/// usable.
std::string why_no_nccl();

/// "2.28.3"; "none" in a build without NCCL; "none: ..." if its library is missing.
std::string nccl_version();

/// The current device's PCI address, which does not depend on device numbers (a launcher may show each rank one GPU as number 0).
/// Empty in a build without NCCL.
std::string nccl_device_address();

/// A communicator of the ranks of `world`, each of which must have its own current device. Collectives run on their own stream,
/// after earlier work on `stream` and before later work (for a gather: work after wait()). all_reduce also blocks the host, which
/// notices lost ranks. `world` must outlive it. Throws Error(communication) naming rank, collective and NCCL's reason.
std::unique_ptr<Communicator> make_nccl(Communicator& world, const Stream& stream);

}  // namespace lora_dist
