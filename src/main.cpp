// The program: parses the command line, starts MPI, runs the command. Only this file ends the job on an error.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
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
#include "src/commands/help.h"
#include "src/core/error_of.h"
#include "src/io/file.h"

namespace lora_dist {
namespace {

void print_error(const std::string& prefix, const Error& error) {
  std::fflush(stdout);
  const bool stopped = error.code() == ExitCode::stopped;  // a requested stop is not an error
  fmt::print(stderr, "lora_dist: {}{}{}\n", stopped ? "" : "error: ", prefix, error.what());
}

/// Reports `error` once per job. Returns the exit code if all ranks end alike; otherwise ends the job.
int end_with(const Error& error, const ProcessInfo& process) {
  const int code = static_cast<int>(error.code());
  const bool collective = process.ranks == 1 || error.scope() == ErrorScope::collective;
  if (collective && process.rank == 0) {
    print_error("", error);
  }
  // mpirun kills the job when a rank exits with an error, so ranks wait until rank 0 has printed it.
  if (collective && (process.ranks == 1 || meet_all_ranks(10.0))) {
    return code;
  }
  if (collective && process.rank == 0) {
    abort_job(code);
  }
  // Ranks often fail together: the lowest prints its error and ends the job before the others. Ranks that only noticed another
  // rank's loss wait longer.
  const int turn = std::min(process.rank, 10);
  const std::chrono::milliseconds pause(error.scope() == ErrorScope::consequence ? 3500 + 1000 * turn : 300 * turn);
  std::this_thread::sleep_for(pause);
  const std::string name = fmt::format("rank {}: ", process.rank);
  print_error(process.rank == 0 || std::string_view(error.what()).starts_with(name) ? "" : name, error);
  abort_job(code);
}

/// Throws if printed text was lost, as on a full disk.
void flush_output() {
  errno = 0;
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    throw Error(exit_code_of(errno, ExitCode::model),
                fmt::format("cannot write standard output: {}; its end is missing where it goes, free some space there",
                            errno == 0 ? "an earlier write failed" : std::strerror(errno)));
  }
}

int show_help(const CommandLine& line) {
  const std::optional<Error> error = error_of([&] {
    fmt::print("{}", line.help ? help_text(line) : version_text());
    flush_output();
  });
  if (error) {
    print_error("", *error);
  }
  return error ? static_cast<int>(error->code()) : 0;
}

int run(int argc, char** argv) {
  std::optional<CommandLine> line;  // nullopt: a usage error
  const std::optional<Error> usage_error =
      error_of([&] { line.emplace(parse_command_line(std::vector<std::string>(argv + std::min(argc, 1), argv + argc))); });
  if (line && (line->help || line->version)) {
    return launcher_rank() == 0 ? show_help(*line) : 0;
  }
  umask(S_IRWXG | S_IRWXO);  // files of a run contain its data in some form: only the owner may read them
  if (line && line->use.before_mpi) {
    line->use.before_mpi();
  }
  MpiSession session(argc, argv);
  set_library_threads();
  int code = 0;
  const std::optional<Error> error = usage_error ? usage_error : error_of([&] {
    const auto world = watch_collectives(make_mpi_world());
    code = line->use.run(*world, session.process());
    if (line->command->name != "train") {  // a run's results are files
      flush_output();
    }
  });
  return error ? end_with(*error, session.process()) : code;
}

}  // namespace
}  // namespace lora_dist

int main(int argc, char** argv) {
  try {
    return lora_dist::run(argc, argv);
  } catch (const std::exception& error) {  // MPI did not start
    std::fprintf(stderr, "lora_dist: error: %s\n", error.what());
    return static_cast<int>(lora_dist::ExitCode::communication);
  }
}
