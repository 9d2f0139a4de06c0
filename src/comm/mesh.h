// The ranks as a mesh: data x tensor. TP ranks share the work of a micro-batch; data ranks compute different micro-batches.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "src/comm/communicator.h"
#include "src/core/choices.h"

namespace lora_dist {

/// World rank = data_rank * tensor + tensor_rank: the TP ranks of a micro-batch are neighbours, so on one node where nodes are
/// filled.
struct Mesh {
  int data = 1;
  int tensor = 1;
  int data_rank = 0;
  int tensor_rank = 0;
  std::unique_ptr<Communicator> data_group;    // the ranks with this TP rank, over host memory
  std::unique_ptr<Communicator> tensor_group;  // the ranks with this data rank, over host memory
};

/// Throws Error(usage, collective) unless `tensor` divides the ranks; it names the numbers that do.
void check_tensor_ranks(int ranks, int tensor);

/// Collective. Throws as check_tensor_ranks does, the same on every rank.
Mesh make_mesh(Communicator& world, int tensor);

/// What to say where TP ranks of one micro-batch are on different machines: every sum of theirs then crosses the network. Empty:
/// they are not. `sum_bytes`: of one such sum. `machines`: of every rank (machine_identity).
std::string tensor_ranks_apart(const Mesh& mesh, const std::vector<std::string>& machines, std::int64_t sum_bytes);

/// The ranks that hold the base together: those of `shards` neighbouring data ranks with all their TP ranks.
int base_replica_of(const Mesh& mesh, int shards);

/// How many data ranks of a machine share a copy of the base with parallel.base_shards = "node". `machines`: of every rank.
/// Throws Error(usage, collective) unless they are neighbours, and as many on every machine.
int data_ranks_of_node(const Mesh& mesh, const std::vector<std::string>& machines);

/// How many data ranks divide the base: all, those of a node (`of_node`), or a number that divides the data ranks.
/// Throws Error(usage) naming the numbers that do.
int base_shards_of(const Mesh& mesh, const BaseShards& base_shards, int of_node);

}  // namespace lora_dist
