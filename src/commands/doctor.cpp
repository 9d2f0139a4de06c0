// lora_dist doctor: checks this machine and this job, and reports fixes.
#include <fmt/format.h>

#include <boost/program_options/value_semantic.hpp>

#include "src/commands/config_options.h"
#include "src/commands/watch_command.h"
#include "src/config/load_config.h"
#include "src/core/error_of.h"
#include "src/doctor/examine.h"
#include "src/plan/planned_model.h"
#include "src/report/console.h"

namespace lora_dist {

namespace {

namespace po = boost::program_options;

struct DoctorOptions {
  ConfigOptions config;
  bool json = false;
};

void describe(CommandUse& use, DoctorOptions& options) {
  use.lists_keys = true;
  describe_config_options(use, options.config);
  use.options.add_options()("json", po::bool_switch(&options.json), "print JSON");
}

void check(const DoctorOptions& /*options*/) {}  // all options are optional

/// Bytes of a run's checkpoints (factors with two moments; `keep` checkpoints and one being written) and three adapter folders; 0
/// if the model is unreadable, which another check reports.
std::int64_t run_bytes(const Config& config) {
  std::int64_t trained = 0;
  const Console silent;
  error_of([&] { trained = open_planned_model(config, {}, silent).layout.count; });
  constexpr std::int64_t kFloat = 4;
  return trained * kFloat * (3 * (std::int64_t{config.checkpoint.keep} + 1) + 3);
}

Examined examined_of(const Config& config) {
  Examined examined;
  examined.folder = config.output.dir;
  examined.backend = config.parallel.backend;
  examined.communicator = config.parallel.communicator;
  examined.keep = config.checkpoint.keep;
  examined.run_bytes = run_bytes(config);
  const auto add = [&](const char* key, const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
      if (!path.empty()) {
        examined.inputs.push_back({key, path});
      }
    }
  };
  add("model.path", {config.model.path});
  add("data.train", config.data.train);
  add("data.validation", config.data.validation);
  add("adapter.init_from", {config.adapter.init_from});
  return examined;
}

int run(Communicator& world, const ProcessInfo& process, const DoctorOptions& options) {
  if (options.config.print_config) {
    return print_resolved_config(world, options.config);
  }
  Examined examined;
  int watchdog_seconds = ParallelConfig{}.watchdog_seconds;
  if (options.config.are_given()) {
    const Config config = read_config(world, options.config, /*complete=*/!options.config.cfg.empty());
    examined = examined_of(config);
    watchdog_seconds = config.parallel.watchdog_seconds;
  }
  const auto watchdog = watch_command(world, process, watchdog_seconds);
  const Diagnosis diagnosis = examine(examined, world, process);
  if (process.rank == 0) {
    fmt::print("{}", options.json ? diagnosis_json(diagnosis) : diagnosis_text(diagnosis));
  }
  return static_cast<int>(exit_code_of(diagnosis));
}

}  // namespace

CommandUse doctor_command() { return make_use<DoctorOptions>(describe, check, run); }

}  // namespace lora_dist
