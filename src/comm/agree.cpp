// Turning one rank's failure into everybody's.
#include "src/comm/agree.h"

#include <fmt/format.h>

#include <optional>
#include <string>

#include "src/core/error_of.h"

namespace lora_dist {
namespace {

/// The least of everybody's `value`.
std::int64_t least(Communicator& comm, std::int64_t value) {
  comm.all_reduce(std::span(&value, 1), Reduce::min, WireKind::control);
  return value;
}

}  // namespace

void run_together(Communicator& comm, const std::function<void()>& work) {
  const std::optional<Error> mine = error_of(work);
  const auto speaker = static_cast<int>(least(comm, mine ? comm.rank() : comm.size()));
  if (speaker == comm.size()) {
    return;
  }
  const std::string text = broadcast_string(comm, mine ? mine->what() : "", speaker);
  auto code = static_cast<std::int64_t>(mine ? mine->code() : ExitCode::done);
  comm.broadcast(std::as_writable_bytes(std::span(&code, 1)), speaker, WireKind::control);
  const bool all_alike = least(comm, mine && mine->what() == text ? 1 : 0) == 1;
  throw Error(static_cast<ExitCode>(code), all_alike ? text : fmt::format("rank {}: {}", speaker, text), Noticed::every_rank);
}

}  // namespace lora_dist
