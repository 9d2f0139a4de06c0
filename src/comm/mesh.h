// The mesh of ranks: data x tensor. TP ranks share a micro-batch; data ranks compute different micro-batches.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "src/comm/communicator.h"
#include "src/core/choices.h"

namespace lora_dist {

/// World rank = data_rank * tensor + tensor_rank: the TP ranks of a micro-batch are consecutive, and so on one node if ranks fill
/// nodes in order.
struct Mesh {
  int data = 1;
  int tensor = 1;
  int data_rank = 0;
  int tensor_rank = 0;
  std::unique_ptr<Communicator> data_group;    // the ranks with this TP rank, over host memory
  std::unique_ptr<Communicator> tensor_group;  // the ranks with this data rank, over host memory
};

/// Throws Error(usage, collective) unless `tensor` divides the ranks; the message names valid numbers.
void check_tensor_ranks(int ranks, int tensor);

/// Collective. Throws like check_tensor_ranks, the same on every rank.
Mesh make_mesh(Communicator& world, int tensor);

/// A warning if TP ranks of a micro-batch are on different machines, since each of their all-reduces then crosses the network;
/// empty otherwise. `sum_bytes`: bytes of one all-reduce. `machines`: machine_identity of every rank.
std::string tensor_ranks_apart(const Mesh& mesh, const std::vector<std::string>& machines, std::int64_t sum_bytes);

/// The group of ranks that hold one copy of the base: `shards` consecutive data ranks with all their TP ranks.
int base_replica_of(const Mesh& mesh, int shards);

/// The number of data ranks per machine, which share a copy of the base with parallel.base_shards = "node". `machines`: of every
/// rank. Throws Error(usage, collective) unless they are consecutive and equally many on every machine.
int data_ranks_of_node(const Mesh& mesh, const std::vector<std::string>& machines);

/// The number of data ranks that divide the base: all, those of a node (`of_node`), or a divisor of the data ranks. Throws
/// Error(usage) naming valid numbers.
int base_shards_of(const Mesh& mesh, const BaseShards& base_shards, int of_node);

}  // namespace lora_dist
