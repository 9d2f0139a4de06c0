// Turning one rank's failure into everybody's, so that no rank is left waiting in a collective and the user reads it once.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "src/comm/communicator.h"
#include "src/core/error.h"

namespace lora_dist {

/// Runs `work`, which must contain no collective, on every rank; afterwards all ranks learn whether anyone threw. If so, every
/// rank throws the same Error(collective): that of the lowest failing rank, whose number is named unless all failed
/// alike.
void run_together(Communicator& comm, const std::function<void()>& work);

/// For work that the ranks divide: every rank throws the Error whose `place` is least as it stands (of equals the lowest rank's),
/// scope collective; none where no rank has one. Collective.
void throw_first(Communicator& comm, const std::optional<Error>& mine, std::int64_t place);

/// What is no error yet: the lowest rank's `mine` that is not empty; empty where all are. Collective; the same on every rank.
std::string first_problem(Communicator& comm, const std::string& mine);

}  // namespace lora_dist
