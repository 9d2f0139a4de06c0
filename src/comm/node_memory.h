// Memory that ranks of one machine share.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "src/comm/communicator.h"

namespace lora_dist {

/// Pages that every rank of a group maps; the memory exists once. It is freed with the last of these objects or its process: no
/// file remains.
class NodeMemory {
 public:
  explicit NodeMemory(std::span<std::byte> bytes) : bytes_(bytes) {}
  NodeMemory(const NodeMemory&) = delete;
  NodeMemory& operator=(const NodeMemory&) = delete;
  ~NodeMemory();

  std::span<std::byte> bytes() const { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

/// Maps `bytes` (the same on every rank of the group, at least 1), zeroed, for a group of ranks on one machine. Collective over
/// `world`, each of whose ranks is in one such group: if one group gets no memory, the others must not continue without it.
/// A rank sees what another rank of its group wrote after a collective. The pages are an anonymous file of the group's first rank
/// (memfd): containers limit files in /dev/shm, which MPI uses for shared memory, but not these. Throws Error, the same on every
/// rank of `world`: out_of_memory; communication if ranks of a group do not see each other's processes.
std::shared_ptr<NodeMemory> share_node_memory(Communicator& group, Communicator& world, std::size_t bytes);

}  // namespace lora_dist
