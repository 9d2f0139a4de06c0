// Runs of the program that the soak programs start from.
#pragma once

#include <string>

#include "tests/program/fixtures.h"

namespace lora_dist::soak {

/// What a folder of a run amounts to: its adapter's bytes.
inline std::string adapter_of(const std::filesystem::path& output) {
  return get_file(output / "adapter/adapter_model.safetensors");
}

/// tests/program's short run of so many steps, with a checkpoint after each `every` of them.
inline program::Settings run_of(const std::filesystem::path& output, int steps, int every) {
  program::Settings settings = program::short_run(output);
  settings["train.max_steps"] = std::to_string(steps);
  settings["train.global_batch"] = "2";
  settings["checkpoint.every"] = std::to_string(every);
  settings["output.tensorboard"] = "false";
  return settings;
}

/// A command with its options.
inline program::Launch command(const std::vector<std::string>& arguments) {
  program::Launch launch;
  launch.arguments = arguments;
  return launch;
}

/// The end of what a job said, for a message.
inline std::string said(const program::Finished& finished) {
  const std::string text = "exit code " + std::to_string(finished.exit_code) + (finished.timed_out ? " (timed out)" : "") +
                           "; standard error: " + finished.err;
  return text.substr(0, 1500);
}

}  // namespace lora_dist::soak
