// The program: parse, start MPI, run the command. The one place where an error ends the job.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "kernels/common/parallel.h"
#include "src/comm/mpi_communicator.h"
#include "src/comm/process.h"
#include "src/comm/watched.h"
#include "src/commands/command_line.h"
#include "src/commands/commands.h"
#include "src/commands/help.h"
#include "src/commands/read_config.h"
#include "src/config/print_config.h"
#include "src/core/error_of.h"
#include "src/core/stop_request.h"

namespace lora_dist {
namespace {

/// The same on all ranks.
int run_command(Communicator& world, const ProcessPlace& place, const CommandLine& line) {
  if (line.print_config) {
    const Config config = read_config(world, line, /*complete=*/false);
    if (place.rank == 0) {
      fmt::print("{}", print_config(config));
    }
    return 0;
  }
  if (line.command == "eval") {
    return run_eval(world, place, line);
  }
  if (line.command == "score") {
    return run_score(world, place, line);
  }
  if (line.command == "generate") {
    return run_generate(world, place, line);
  }
  if (line.command == "merge") {
    return run_merge(world, place, line);
  }
  if (line.command == "inspect") {
    return run_inspect(world, place, line);
  }
  if (line.command == "quantize") {
    return run_quantize(world, place, line);
  }
  if (line.command == "data") {
    return run_data(world, place, line);
  }
  if (line.command == "plan") {
    return run_plan(world, place, line);
  }
  if (line.command == "doctor") {
    return run_doctor(world, place, line);
  }
  return run_train(world, place, line);
}

void print_error(const std::string& speaker, const Error& error) {
  std::fflush(stdout);
  const bool stopped = error.code() == ExitCode::stopped;  // as it was asked to
  fmt::print(stderr, "lora_dist: {}{}{}\n", stopped ? "" : "error: ", speaker, error.what());
}

/// Reports `error` once per job. Returns the exit code where all ranks end alike, and else ends the job.
int end_with(const Error& error, const ProcessPlace& place) {
  const int code = static_cast<int>(error.code());
  const bool everybody = place.ranks == 1 || error.noticed() == Noticed::every_rank;
  if (everybody && place.rank == 0) {
    print_error("", error);
  }
  // mpirun kills the rest when the first rank ends with an error: nobody ends before rank 0 has spoken.
  if (everybody && (place.ranks == 1 || meet_all_ranks(10.0))) {
    return code;
  }
  if (everybody && place.rank == 0) {
    abort_job(code);
  }
  // Ranks often fail together without knowing; the lowest speaks and ends the job before the next would. Who only noticed that
  // another is gone comes after all who may know why.
  const int turn = std::min(place.rank, 10);
  const std::chrono::milliseconds pause(error.noticed() == Noticed::as_a_consequence ? 3500 + 1000 * turn : 300 * turn);
  std::this_thread::sleep_for(pause);
  const std::string name = fmt::format("rank {}: ", place.rank);
  print_error(place.rank == 0 || std::string_view(error.what()).starts_with(name) ? "" : name, error);
  abort_job(code);
}

int run(int argc, char** argv) {
  CommandLine line;
  const std::optional<Error> usage_error =
      error_of([&] { line = parse_command_line(std::vector<std::string>(argv + std::min(argc, 1), argv + argc)); });
  if (!usage_error && (line.help || line.version)) {
    if (launcher_rank() == 0) {
      fmt::print("{}", line.help ? help_text(line) : version_text());
    }
    return 0;
  }
  umask(S_IRWXG | S_IRWXO);  // what a run writes holds its data in one form or another: it is the owner's alone
  if (!usage_error && line.command == "train" && !line.print_config) {
    listen_for_stop_requests();  // before MPI starts threads
  }
  MpiSession session(argc, argv);
  set_library_threads();
  int code = 0;
  const std::optional<Error> error = usage_error ? usage_error : error_of([&] {
    const auto world = watch_collectives(make_mpi_world());
    code = run_command(*world, session.place(), line);
  });
  return error ? end_with(*error, session.place()) : code;
}

}  // namespace
}  // namespace lora_dist

int main(int argc, char** argv) {
  try {
    return lora_dist::run(argc, argv);
  } catch (const std::exception& error) {  // MPI itself did not start
    std::fprintf(stderr, "lora_dist: error: %s\n", error.what());
    return static_cast<int>(lora_dist::ExitCode::communication);
  }
}
