// The configuration of train, eval and data, from the command line.
#include "src/commands/read_config.h"

#include <filesystem>

#include "src/comm/agree.h"
#include "src/config/load_config.h"

namespace lora_dist {

Config read_config(Communicator& world, const CommandLine& line, bool complete) {
  Config config;
  run_together(world, [&] {
    std::error_code ignored;
    const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", ignored);
    const std::filesystem::path file = line.cfg.empty() ? std::filesystem::path() : find_config_file(line.cfg, program);
    config = load_config(file, line.sets);
    if (complete) {
      check_required_keys(config);
    }
  });
  return config;
}

}  // namespace lora_dist
