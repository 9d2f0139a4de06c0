// Communicator over NCCL, for the memory of GPUs.
#pragma once

#include <memory>
#include <string>

#include "kernels/common/stream.h"
#include "src/comm/communicator.h"

namespace lora_dist {

/// Why make_nccl would throw, as a part of a sentence: a build without NCCL, or a machine without its library. Empty where NCCL
/// can be used.
std::string why_no_nccl();

/// "2.28.3"; "none" in a build without NCCL; "none: ..." where its library is missing.
std::string nccl_version();

/// The current device's address on its node, whatever number this process knows it by (a launcher may show each rank one GPU, all
/// of them number 0). Empty in a build without NCCL.
std::string nccl_device_address();

/// Between the ranks of `world`, each with a device of its own, which is the current one. Collectives run on a stream of their
/// own: they start after what `stream` has been given so far, and what `stream` is given after them (after wait(), for a gather)
/// starts when they are done. all_reduce also holds the host, so that a lost rank is noticed there. `world` must outlive it.
/// Throws Error(communication) naming rank, collective and NCCL's reason.
std::unique_ptr<Communicator> make_nccl(Communicator& world, const Stream& stream);

}  // namespace lora_dist
