// What a command is: a row of the table, and the use of it that one command line makes.
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

/// A command's options, and what it does once they are parsed. The functions share one plain struct of options, which the
/// options are stored into.
struct CommandUse {
  boost::program_options::options_description options{"Options", 110, 50};
  std::string* path = nullptr;       // where the one word that is no option goes; null: there must be none
  bool lists_keys = false;           // --help ends with the keys of the configuration
  std::function<void()> check;       // throws Error(usage, collective) where options are missing or out of range
  std::function<void()> before_mpi;  // what must be done before MPI starts threads; may be empty
  std::function<int(Communicator& world, const ProcessInfo& process)> run;  // on every rank; the exit code, the same on all
};

/// A use from a command's struct of options and the three functions on it.
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
