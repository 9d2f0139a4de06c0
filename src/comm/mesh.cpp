// Splits the world into the data and tensor axes.
#include "src/comm/mesh.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "src/core/error.h"
#include "src/core/memory_report.h"

namespace lora_dist {

namespace {

/// "1, 2 or 4"; `found`: entries before the divisors.
std::string divisors(int number, std::vector<std::string> found = {}) {
  for (int i = 1; i <= number; ++i) {
    if (number % i == 0) {
      found.push_back(std::to_string(i));
    }
  }
  if (found.size() == 1) {
    return found.front();
  }
  const std::string last = found.back();
  found.pop_back();
  return fmt::format("{} or {}", fmt::join(found, ", "), last);
}

}  // namespace

void check_tensor_ranks(int ranks, int tensor) {
  if (ranks % tensor != 0) {
    throw Error(
        ExitCode::usage,
        fmt::format("parallel.tensor = {} does not divide the {} rank{} of this job; set it to {}, or start another number "
                    "of ranks",
                    tensor, ranks, ranks == 1 ? "" : "s", divisors(ranks)),
        ErrorScope::collective);
  }
}

Mesh make_mesh(Communicator& world, int tensor) {
  check_tensor_ranks(world.size(), tensor);
  Mesh mesh;
  mesh.tensor = tensor;
  mesh.data = world.size() / tensor;
  mesh.data_rank = world.rank() / tensor;
  mesh.tensor_rank = world.rank() % tensor;
  mesh.data_group = world.split(mesh.tensor_rank);
  mesh.tensor_group = world.split(mesh.data_rank);
  return mesh;
}

std::string tensor_ranks_apart(const Mesh& mesh, const std::vector<std::string>& machines, std::int64_t sum_bytes) {
  int apart = 0;
  for (std::size_t first = 0; first < machines.size(); first += static_cast<std::size_t>(mesh.tensor)) {
    const auto of_group = std::span(machines).subspan(first, static_cast<std::size_t>(mesh.tensor));
    apart += std::all_of(of_group.begin(), of_group.end(), [&](const std::string& each) { return each == of_group[0]; }) ? 0 : 1;
  }
  if (apart == 0) {
    return {};
  }
  return fmt::format(
      "in {} of {} groups the {} tensor-parallel ranks are on several machines: four sums of activations a block, of up "
      "to {} each, then cross the network in every micro-batch. Start ranks so that nodes are filled one after the other "
      "and parallel.tensor divides the ranks of a node, or lower parallel.tensor",
      apart, mesh.data, mesh.tensor, human_bytes(sum_bytes));
}

int data_ranks_of_node(const Mesh& mesh, const std::vector<std::string>& machines) {
  const auto machine_of = [&](int data_rank, int tensor_rank) {
    const int rank = data_rank * mesh.tensor + tensor_rank;
    return machines[static_cast<std::size_t>(rank)];
  };
  int of_node = 1;
  while (of_node < mesh.data && machine_of(of_node, 0) == machine_of(0, 0)) {
    ++of_node;
  }
  for (int data_rank = 0; data_rank < mesh.data; ++data_rank) {
    for (int tensor_rank = 0; tensor_rank < mesh.tensor; ++tensor_rank) {
      const int first = data_rank / of_node * of_node;
      const bool with_first = machine_of(data_rank, tensor_rank) == machine_of(first, tensor_rank);
      const bool with_next =
          first + of_node < mesh.data && machine_of(data_rank, tensor_rank) == machine_of(first + of_node, tensor_rank);
      if (!with_first || with_next || mesh.data % of_node != 0) {
        throw Error(
            ExitCode::usage,
            fmt::format("parallel.base_shards = \"node\" needs as many data-parallel ranks on every node, one after the "
                        "other: the first node has {} of the {}, and rank {} begins another number. Start as many ranks on "
                        "each node, or set parallel.base_shards = \"all\"",
                        of_node, mesh.data, data_rank * mesh.tensor + tensor_rank),
            ErrorScope::collective);
      }
    }
  }
  return of_node;
}

int base_replica_of(const Mesh& mesh, int shards) { return mesh.data_rank / shards; }

int base_shards_of(const Mesh& mesh, const BaseShards& base_shards, int of_node) {
  if (base_shards.of != BaseShards::Of::count) {
    return base_shards.of == BaseShards::Of::node ? of_node : mesh.data;
  }
  if (base_shards.count < 1 || mesh.data % base_shards.count != 0) {
    throw Error(ExitCode::usage,
                fmt::format("parallel.base_shards = \"{}\" does not divide the {} data-parallel rank{}; set it to {}",
                            base_shards.count, mesh.data, mesh.data == 1 ? "" : "s", divisors(mesh.data, {"\"all\""})),
                ErrorScope::collective);
  }
  return base_shards.count;
}

}  // namespace lora_dist
