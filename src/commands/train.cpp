// lora_dist train: fine-tunes, or continues where a run stopped.
#include "src/commands/commands.h"
#include "src/commands/read_config.h"
#include "src/plan/beside_run.h"
#include "src/plan/program_memory.h"
#include "src/train/resume.h"
#include "src/train/trainer.h"

namespace lora_dist {

int run_train(Communicator& world, const ProcessPlace& place, const CommandLine& line) {
  const Config config = read_config(world, line);
  ComputeChoice choice = compute_choice(config);
  choice.checkpoint_dtype = compute_dtype_of_checkpoint(config, world);
  const auto compute = choose_compute_place(choice, place, world, Console{world.rank() == 0});
  const std::int64_t program = program_bytes();
  TrainingRun run = prepare_run(config, world, *compute, Purpose::train, {});
  const ExitCode code = run_training(run);
  if (const std::string line = plan_beside_run(run, program); code == ExitCode::done && !line.empty()) {
    run.console.line(line);
  }
  return static_cast<int>(code);
}

}  // namespace lora_dist
