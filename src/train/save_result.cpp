// Chooses between adapter and model.
#include "src/train/save_result.h"

#include <array>
#include <system_error>

#include "src/adapter/adapter_folders.h"
#include "src/adapter/peft_adapter.h"
#include "src/train/save_adapter.h"
#include "src/train/save_model.h"

namespace lora_dist {

std::filesystem::path result_folder(const TrainingRun& run, ResultOf which) {
  const bool best = which == ResultOf::best;
  return run.output / (run.trained ? best ? "model_best" : "model" : best ? "adapter_best" : "adapter");
}

void save_result(const TrainingRun& run, std::int64_t step, ResultOf which) {
  const std::string name = result_folder(run, which).filename().string();
  if (run.trained) {
    save_model(run, name);
  } else {
    save_adapter(run, step, name);
  }
}

bool result_is_there(const TrainingRun& run) {
  const std::filesystem::path folder = result_folder(run, ResultOf::last);
  std::error_code ignored;
  std::array<std::int64_t, 1> there = {
      std::filesystem::exists(run.trained ? folder / "config.json" : tensors_file(adapter_folders(folder).front()), ignored) ? 1
                                                                                                                             : 0};
  run.world->broadcast(std::as_writable_bytes(std::span(there)), 0, WireKind::control);
  return there[0] != 0;
}

}  // namespace lora_dist
