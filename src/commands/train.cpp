// lora_dist train: fine-tunes, or resumes a stopped run.
#include "src/commands/config_options.h"
#include "src/core/stop_request.h"
#include "src/job/checkpoint_records.h"
#include "src/plan/beside_run.h"
#include "src/plan/program_memory.h"
#include "src/train/trainer.h"

namespace lora_dist {

namespace {

struct TrainOptions {
  ConfigOptions config;
};

void describe(CommandUse& use, TrainOptions& options) {
  use.lists_keys = true;
  describe_config_options(use, options.config);
  use.before_mpi = [&options] {
    if (!options.config.print_config) {
      listen_for_stop_requests();
    }
  };
}

void check(const TrainOptions& options) { check_config_is_given("train", options.config); }

int run(Communicator& world, const ProcessInfo& process, const TrainOptions& options) {
  if (options.config.print_config) {
    return print_resolved_config(world, options.config);
  }
  const Config config = read_config(world, options.config);
  if (!config.checkpoint.on_signal) {
    end_on_stop_requests();
  }
  DeviceChoice choice = device_choice(config);
  choice.checkpoint_dtype = compute_dtype_of_checkpoint(config, world);
  const auto device = choose_device(choice, process, world, Console{world.rank() == 0});
  const std::int64_t program = program_bytes();
  TrainingRun training = prepare_training(config, world, *device);
  const ExitCode code = run_training(training);
  if (const std::string line = plan_beside_run(training, program); code == ExitCode::done && !line.empty()) {
    training.console.line(line);
  }
  return static_cast<int>(code);
}

}  // namespace

CommandUse train_command() { return make_use<TrainOptions>(describe, check, run); }

}  // namespace lora_dist
