// lora_dist train: fine-tunes, or continues where a run stopped.
#include "src/commands/commands.h"
#include "src/commands/read_config.h"
#include "src/train/trainer.h"

namespace lora_dist {

int run_train(Communicator& world, const ProcessPlace& place, const CommandLine& line) {
  const Config config = read_config(world, line);
  const auto compute = choose_compute_place(compute_choice(config), place, world);
  TrainingRun run = prepare_run(config, world, *compute, Purpose::train, {});
  return static_cast<int>(run_training(run));
}

}  // namespace lora_dist
