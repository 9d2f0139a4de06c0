// Memory that ranks of one machine share.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "src/comm/communicator.h"

namespace lora_dist {

/// Pages that every rank of a group has in its address space; they are there once. They go when the last of these objects does,
/// or with its process: no file is left behind.
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

/// `bytes` (the same on every rank of the group, at least 1), zeroed, for a group whose ranks are on one machine. Collective over
/// `world`, each of whose ranks is in one such group: where one group has no memory the others must not go on without it.
/// What a rank wrote is there for another one of its group after a collective. Pages of an anonymous file of the group's first
/// rank (memfd): unlike files in /dev/shm, by which MPI shares memory, containers do not limit them. Throws Error, the same on
/// every rank of `world`: out_of_memory; communication where ranks of a group do not see each other's processes.
std::shared_ptr<NodeMemory> share_node_memory(Communicator& group, Communicator& world, std::size_t bytes);

}  // namespace lora_dist
