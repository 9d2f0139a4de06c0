// Prints --help and --version.
#include "src/commands/help.h"

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <sstream>

#include "kernels/common/device.h"
#include "src/comm/nccl_communicator.h"
#include "src/comm/process.h"
#include "src/config/print_config.h"
#include "src/core/version.h"
#include "src/io/hdf5_library.h"

namespace lora_dist {
namespace {

constexpr std::string_view kExitCodes =
    "Exit codes: 0 done; 2 usage or configuration; 3 data; 4 model, tokenizer, adapter or checkpoint; 5 communication; 6 out of "
    "memory;\n"
    "7 non-finite loss; 75 stopped on request with a checkpoint saved (run the same command to continue); 86 hang.\n";

std::string options_text(const CommandUse& use) {
  std::ostringstream text;
  text << options_of(use);
  return text.str();
}

/// `train`: the default command.
std::string program_help(const CommandUse& train) {
  std::string text =
      "lora_dist fine-tunes large language models with LoRA over a quantized base that is divided among MPI ranks.\n"
      "\n"
      "  lora_dist [COMMAND] --cfg FILE [--set section.key=value]... [options]\n"
      "  mpirun -np N lora_dist ...\n"
      "\n"
      "Commands (train when none is named; lora_dist COMMAND --help says more):\n";
  for (const Command& command : commands()) {
    text += fmt::format("  {:<10}{}\n", command.name, command.summary);
  }
  text += "\nExamples:\n";
  for (const Command& command : commands()) {
    text += command.examples.substr(0, std::min(command.examples.find('\n'), command.examples.size() - 1) + 1);
  }
  return text + "\n" + options_text(train) + "\n" + std::string(kExitCodes);
}

std::string command_help(const Command& command, const CommandUse& use) {
  std::string text =
      fmt::format("lora_dist {}: {}\n\n{}\nExamples:\n{}", command.name, command.summary, options_text(use), command.examples);
  if (use.lists_keys) {
    text +=
        "\nKeys of the configuration, with their defaults. Relative paths, in files too, are relative to the folder that the "
        "program\n"
        "is started in. A value after --set is read as TOML, and as a string where that fails.\n\n" +
        describe_keys();
  }
  return text;
}

std::string compiler_version() {
#if defined(__clang__)
  return fmt::format("Clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("GCC {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

std::string onednn_version() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

}  // namespace

std::string help_text(const CommandLine& line) {
  return line.command_given ? command_help(*line.command, line.use) : program_help(line.use);
}

std::string version_text() {
  return fmt::format("lora_dist {}\ncompiler  {}\nCUDA      {}\nNCCL      {}\nMPI       {}\nHDF5      {}\noneDNN    {}\n",
                     LORA_DIST_VERSION, compiler_version(), cuda_version(), nccl_version(), mpi_version(), hdf5_library().version,
                     onednn_version());
}

}  // namespace lora_dist
