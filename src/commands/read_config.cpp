// The configuration of train, eval, data and plan, from the command line.
#include "src/commands/read_config.h"

#include <filesystem>

#include "src/comm/agree.h"
#include "src/config/load_config.h"
#include "src/io/user_path.h"

namespace lora_dist {

std::filesystem::path program_path() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored);
}

namespace {

/// The files that patterns stand for: those that rank 0 sees.
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

Config read_config(Communicator& world, const CommandLine& line, bool complete) {
  Config config;
  run_together(world, [&] {
    const std::filesystem::path file = line.cfg.empty() ? std::filesystem::path() : find_config_file(line.cfg, program_path());
    config = load_config(file, line.sets);
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

}  // namespace lora_dist
