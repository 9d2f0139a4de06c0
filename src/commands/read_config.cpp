// The configuration of train, eval, data and plan, from the command line.
#include "src/commands/read_config.h"

#include <filesystem>

#include "src/comm/agree.h"
#include "src/config/load_config.h"

namespace lora_dist {

std::filesystem::path program_path() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored);
}

Config read_config(Communicator& world, const CommandLine& line, bool complete) {
  Config config;
  run_together(world, [&] {
    const std::filesystem::path file = line.cfg.empty() ? std::filesystem::path() : find_config_file(line.cfg, program_path());
    config = load_config(file, line.sets);
    if (complete) {
      check_required_keys(config);
    }
  });
  return config;
}

}  // namespace lora_dist
