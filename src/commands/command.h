// A command: a row of the table, and its use by one command line.
#pragma once

#include <boost/program_options/options_description.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/comm/communicator.h"
#include "src/comm/process.h"

namespace lora_dist {

/// A command's options and functions. The functions share one plain struct, into which the options are parsed.
struct CommandUse {
  boost::program_options::options_description options{"Options", 110, 50};
  std::string* path = nullptr;       // receives the positional argument; null: the command takes none
  bool lists_keys = false;           // --help ends with the keys of the configuration
  std::function<void()> check;       // throws Error(usage, collective) for missing or out-of-range options
  std::function<void()> before_mpi;  // called before MPI starts threads; may be empty
  std::function<int(Communicator& world, const ProcessInfo& process)> run;  // on every rank; the exit code, the same on all
};

/// Makes a use from a command's option struct and three functions.
template <class Options>
CommandUse make_use(void (*describe)(CommandUse& use, Options& options), void (*check)(const Options& options),
                    int (*run)(Communicator& world, const ProcessInfo& process, const Options& options)) {
  const auto options = std::make_shared<Options>();
  CommandUse use;
  describe(use, *options);
  use.check = [=] { check(*options); };
  use.run = [=](Communicator& world, const ProcessInfo& process) { return run(world, process, *options); };
  return use;
}

struct Command {
  std::string_view name;
  std::string_view summary;   // one line
  std::string_view examples;  // command lines, one per line
  CommandUse (*use)();
};

/// In the order of the manual.
const std::vector<Command>& commands();

}  // namespace lora_dist
