// lora_dist export: an adapter in the form of another program, or the model with the adapter merged as a GGUF file.
#include "src/commands/export_adapter.h"
#include "src/commands/export_gguf.h"
#include "src/commands/export_options.h"
#include "src/commands/watch_command.h"
#include "src/core/error.h"
#include "src/report/console.h"

namespace lora_dist {

namespace {

int run(Communicator& world, const ProcessInfo& process, const ExportOptions& options) {
  const auto watchdog = watch_command(world, process);
  const Console console{world.rank() == 0};
  if (options.check) {
    check_adapter(world, options, console);
  } else if (options.reader == Reader::gguf) {
    export_gguf(world, process, options, console);
  } else {
    export_adapter(world, options, console);
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace

CommandUse export_command() { return make_use<ExportOptions>(describe_export_options, check_export_options, run); }

}  // namespace lora_dist
