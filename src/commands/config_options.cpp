// The configuration, from the command line.
#include "src/commands/config_options.h"

#include "src/comm/agree.h"
#include "src/commands/option_values.h"
#include "src/config/load_config.h"
#include "src/config/print_config.h"
#include "src/core/error.h"
#include "src/io/user_path.h"

namespace lora_dist {

namespace po = boost::program_options;

void describe_config_options(CommandUse& use, ConfigOptions& options) {
  use.options.add_options()                                                                                                    //
      ("cfg", path_of(options.cfg, "FILE"), "configuration (TOML); looked up as given, then in the installed configs folder")  //
      ("set", value_of(options.sets, "section.key=value"), "overrides the file; may be repeated")                              //
      ("print-config", po::bool_switch(&options.print_config),
       "print the resolved configuration and where each value comes from");
}

void check_config_is_given(std::string_view command, const ConfigOptions& options) {
  if (!options.are_given() && !options.print_config) {
    fail_usage(fmt::format("{} needs a configuration: --cfg FILE (lora_dist {} --help shows examples)", command, command));
  }
}

std::filesystem::path program_path() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored);
}

namespace {

/// The files that rank 0 finds for patterns.
void find_files(Communicator& world, std::vector<std::string>& files, const std::string& key) {
  std::string names;
  run_together(world, [&] {
    if (world.rank() == 0) {
      for (const std::string& file : expand_files(files, key)) {
        names += file + '\0';
      }
    }
  });
  names = broadcast_string(world, names, 0);
  files.clear();
  for (std::size_t at = 0; at < names.size(); at += files.back().size() + 1) {
    files.emplace_back(names.c_str() + at);
  }
}

}  // namespace

Config read_config(Communicator& world, const ConfigOptions& options, bool complete, bool any_method) {
  Config config;
  run_together(world, [&] {
    const std::filesystem::path file =
        options.cfg.empty() ? std::filesystem::path() : find_config_file(options.cfg, program_path());
    config = load_config(file, options.sets, any_method);
    if (complete) {
      check_required_keys(config);
    }
  });
  if (complete) {
    find_files(world, config.data.train, "data.train");
    find_files(world, config.data.validation, "data.validation");
  }
  return config;
}

int print_resolved_config(Communicator& world, const ConfigOptions& options) {
  const Config config = read_config(world, options, /*complete=*/false);
  if (world.rank() == 0) {
    fmt::print("{}", print_config(config));
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace lora_dist
