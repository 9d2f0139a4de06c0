// Propagates errors between ranks.
#include "src/comm/agree.h"

#include <fmt/format.h>

#include <limits>
#include <string>

#include "src/core/error_of.h"

namespace lora_dist {
namespace {

/// The minimum of `value` over ranks.
std::int64_t least(Communicator& comm, std::int64_t value) {
  comm.all_reduce(std::span(&value, 1), Reduce::min, WireKind::control);
  return value;
}

/// The error of rank `failing`, on every rank.
Error error_of_rank(Communicator& comm, const std::optional<Error>& mine, int failing) {
  const std::string text = broadcast_string(comm, mine ? mine->what() : "", failing);
  auto code = static_cast<std::int64_t>(mine ? mine->code() : ExitCode::done);
  comm.broadcast(std::as_writable_bytes(std::span(&code, 1)), failing, WireKind::control);
  return {static_cast<ExitCode>(code), text, ErrorScope::collective};
}

}  // namespace

void run_together(Communicator& comm, const std::function<void()>& work) {
  const std::optional<Error> mine = error_of(work);
  const auto failing = static_cast<int>(least(comm, mine ? comm.rank() : comm.size()));
  if (failing == comm.size()) {
    return;
  }
  const Error theirs = error_of_rank(comm, mine, failing);
  const std::string text = theirs.what();
  const bool all_alike = least(comm, mine && mine->what() == text ? 1 : 0) == 1;
  throw Error(theirs.code(), all_alike ? text : fmt::format("rank {}: {}", failing, text), ErrorScope::collective);
}

void throw_first(Communicator& comm, const std::optional<Error>& mine, std::int64_t position) {
  constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  const std::int64_t first = least(comm, mine ? position : kNone);
  if (first == kNone) {
    return;
  }
  const bool is_mine = mine && position == first;
  throw error_of_rank(comm, mine, static_cast<int>(least(comm, is_mine ? comm.rank() : comm.size())));
}

std::string first_problem(Communicator& comm, const std::string& mine) {
  for (const std::string& problem : all_gather_strings(comm, mine)) {
    if (!problem.empty()) {
      return problem;
    }
  }
  return {};
}

}  // namespace lora_dist
