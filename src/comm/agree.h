// Propagates one rank's error to all ranks, so that no rank waits in a collective and the user reads the error once.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "src/comm/communicator.h"
#include "src/core/error.h"

namespace lora_dist {

/// Runs `work`, which must not contain a collective, on every rank. If any rank throws, every rank then throws the same
/// Error(collective): that of the lowest failing rank, with its number unless all ranks failed alike.
void run_together(Communicator& comm, const std::function<void()>& work);

/// For work that is divided among ranks: every rank throws the Error with the smallest `position` (the lowest rank's among
/// equals), unchanged but with scope collective; returns if no rank has an error. Collective.
void throw_first(Communicator& comm, const std::optional<Error>& mine, std::int64_t position);

/// The first non-empty `mine` in rank order, on every rank; empty if all are. Collective.
std::string first_problem(Communicator& comm, const std::string& mine);

}  // namespace lora_dist
