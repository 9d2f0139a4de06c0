// lora_dist train: fine-tunes, or resumes a stopped run.
#include <functional>

#include "src/comm/flight_record.h"
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

/// Writes a flight record after a communication error, and adds its path to the error.
ExitCode with_flight_record(const TrainingRun& run, const std::function<ExitCode()>& train) {
  try {
    return train();
  } catch (const Error& error) {
    const std::filesystem::path& folder = run.watch->folder();
    if (error.code() != ExitCode::communication || !write_flight_record(folder, run.world->rank())) {
      throw;
    }
    throw Error(error.code(),
                fmt::format("{}. Each rank's last collectives are in {}/flight_*.jsonl", error.what(), folder.string()),
                error.scope());
  }
}

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
  const ExitCode code = with_flight_record(training, [&] { return run_training(training); });
  if (const std::string line = plan_beside_run(training, program); code == ExitCode::done && !line.empty()) {
    training.console.line(line);
  }
  return static_cast<int>(code);
}

}  // namespace

CommandUse train_command() { return make_use<TrainOptions>(describe, check, run); }

}  // namespace lora_dist
