// Makes an NCCL group of each pair of ranks and all-reduces over it.
#include "src/doctor/nccl_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>

#include "kernels/common/device.h"
#include "src/comm/agree.h"
#include "src/comm/data_plane.h"
#include "src/comm/nccl_communicator.h"
#include "src/core/error_of.h"
#include "src/doctor/deadline.h"

namespace lora_dist {

namespace {

constexpr const char* kCheck = "NCCL";
constexpr int kMostRanksInAllPairs = 64;  // 63 rounds
constexpr std::chrono::seconds kPatience(60);
constexpr const char* kNetworkAdvice =
    "NCCL_DEBUG=INFO says which network it takes; NCCL_SOCKET_IFNAME and NCCL_IB_HCA name another; "
    "parallel.communicator = \"mpi\" does without it";

/// All-reduces a few numbers over the pair; returns the reason of a failure.
std::string exchange(Communicator& pair, const Stream& stream) {
  std::string reason;
  const std::optional<Error> error = error_of([&] {
    const std::unique_ptr<Communicator> nccl = make_nccl(pair, stream);
    std::array<std::int64_t, 2> values = {pair.rank() + 1, 1};
    void* memory = allocate_device(sizeof values);
    const std::span<std::int64_t> on_device(static_cast<std::int64_t*>(memory), values.size());
    copy_bytes(memory, values.data(), sizeof values, stream);
    nccl->all_reduce(on_device, Reduce::sum, WireKind::control);
    copy_bytes(values.data(), memory, sizeof values, stream);
    synchronize(stream);
    free_device(memory);
    if (values != std::array<std::int64_t, 2>{3, 2}) {
      reason = "sums arrive with wrong numbers";
    }
  });
  return error ? error->what() : reason;
}

/// This rank's partner in a round; -1 if it pauses.
int partner_in(const PairRound& round, int rank) {
  for (const auto& [one, other] : round) {
    if (one == rank || other == rank) {
      return one == rank ? other : one;
    }
  }
  return -1;
}

/// Adds the results of a round's pairs.
void note_round(const PairRound& round, const std::vector<std::string>& reasons, NcclFacts& facts) {
  for (const auto& [one, other] : round) {
    const std::string& first = reasons[static_cast<std::size_t>(one)];
    const std::string& reason = first.empty() ? reasons[static_cast<std::size_t>(other)] : first;
    if (reason.empty()) {
      ++facts.pairs;
    } else {
      facts.failures.push_back({one, other, reason});
    }
  }
}

void exchange_in_pairs(Communicator& world, NcclFacts& facts) {
  Stream stream = make_device_stream();
  for (const PairRound& round : pair_rounds(world.size(), kMostRanksInAllPairs)) {
    const int partner = partner_in(round, world.rank());
    const std::unique_ptr<Communicator> pair = world.split(partner < 0 ? world.size() : std::min(world.rank(), partner));
    std::string reason;
    if (partner >= 0) {
      const Deadline deadline(kPatience, fmt::format("NCCL between ranks {} and {} does not answer within {} seconds; {}",
                                                     world.rank(), partner, kPatience.count(), kNetworkAdvice));
      reason = exchange(*pair, stream);
    }
    note_round(round, all_gather_strings(world, reason), facts);
  }
  destroy_device_stream(stream);
}

}  // namespace

std::vector<PairRound> pair_rounds(int ranks, int most) {
  std::vector<PairRound> rounds;
  if (ranks > most) {
    for (int step = 1; step < ranks; step *= 2) {
      std::array<PairRound, 2> halves;  // no rank is in two pairs of a round
      for (int rank = 0; rank + step < ranks; ++rank) {
        halves[static_cast<std::size_t>(rank / step % 2)].emplace_back(rank, rank + step);
      }
      rounds.insert(rounds.end(), halves.begin(), halves.end());
    }
    return rounds;
  }
  // The round-robin tournament (circle method): one rank is fixed, the others rotate. With an odd number, one rank pauses per
  // round.
  const int chairs = ranks + ranks % 2;
  for (int round = 0; round + 1 < chairs; ++round) {
    PairRound pairs;
    for (int seat = 0; seat < chairs / 2; ++seat) {
      const int one = seat == 0 ? chairs - 1 : (round + seat) % (chairs - 1);
      const int other = (round + chairs - 1 - seat) % (chairs - 1);
      if (one < ranks && other < ranks) {
        pairs.emplace_back(std::min(one, other), std::max(one, other));
      }
    }
    rounds.push_back(pairs);
  }
  return rounds;
}

NcclFacts look_at_nccl(Communicator& world, bool works, std::optional<CommunicatorKind> communicator) {
  NcclFacts facts;
  facts.ranks = world.size();
  facts.communicator = communicator;
  facts.version = nccl_version();
  facts.missing = first_problem(world, why_no_nccl());
  std::array<std::int64_t, 1> all_work = {works ? 1 : 0};
  world.all_reduce(all_work, Reduce::min, WireKind::control);
  facts.devices = all_work[0] == 1;
  if (!facts.devices || !facts.missing.empty()) {
    return facts;
  }
  const std::vector<std::string> devices = all_gather_strings(world, machine_identity(kBootId) + " " + nccl_device_address());
  facts.own = std::set<std::string>(devices.begin(), devices.end()).size() == devices.size();
  if (facts.own && world.size() > 1) {
    exchange_in_pairs(world, facts);
  }
  return facts;
}

std::vector<Finding> judge_nccl(const NcclFacts& facts) {
  const bool wanted = facts.communicator == CommunicatorKind::nccl;
  if (facts.communicator == CommunicatorKind::mpi) {
    return {ok(kCheck, "left alone: parallel.communicator = \"mpi\"")};
  }
  if (!facts.devices) {
    return {wanted ? broken(kCheck, "parallel.communicator = \"nccl\", and not every rank has a GPU that works",
                            "parallel.communicator = \"auto\"", ExitCode::communication)
                   : ok(kCheck, "not needed without a GPU for every rank")};
  }
  if (!facts.missing.empty()) {
    const std::string fix = "build with NCCL, or put libnccl.so.2 on LD_LIBRARY_PATH";
    return {wanted ? broken(kCheck, facts.missing, fix + ", or parallel.communicator = \"mpi\"", ExitCode::communication)
            : facts.ranks > 1 ? warning(kCheck, facts.missing + "; GPUs will exchange through the host", fix)
                              : ok(kCheck, "not needed by one rank")};
  }
  if (!facts.own) {
    const std::string what = "ranks share a GPU, which NCCL does not allow";
    const std::string fix = "start as many ranks on a machine as it has GPUs";
    return {wanted ? broken(kCheck, what, fix, ExitCode::communication)
                   : warning(kCheck, what + "; they will exchange through the host", fix)};
  }
  std::vector<Finding> findings;
  for (const PairFailure& failure : facts.failures) {
    findings.push_back(broken(kCheck, fmt::format("between ranks {} and {}: {}", failure.one, failure.other, failure.reason),
                              kNetworkAdvice, ExitCode::communication));
  }
  if (findings.empty()) {
    findings.push_back(ok(kCheck, facts.ranks == 1 ? fmt::format("{}; one rank, nothing to exchange", facts.version)
                                                   : fmt::format("{}, {} pair{} of ranks exchanged", facts.version, facts.pairs,
                                                                 facts.pairs == 1 ? "" : "s")));
  }
  return findings;
}

}  // namespace lora_dist
