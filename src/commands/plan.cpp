// lora_dist plan: memory, traffic and time of a configuration, from config.json alone.
#include <fmt/format.h>

#include "src/comm/agree.h"
#include "src/commands/commands.h"
#include "src/commands/read_config.h"
#include "src/config/load_config.h"
#include "src/core/error.h"
#include "src/plan/plan_report.h"
#include "src/report/console.h"

namespace lora_dist {

int run_plan(Communicator& world, const ProcessPlace& place, const CommandLine& line) {
  const Config config = read_config(world, line, /*complete=*/false);
  const bool speaks = place.rank == 0;
  const Console console{speaks, line.plan.json};
  run_together(world, [&] {
    std::vector<std::filesystem::path> shipped;
    for (const std::filesystem::path& folder : config_folders(program_path())) {
      shipped.push_back(folder / "models");
    }
    const PlannedModel model = open_planned_model(config, shipped, console);
    const int ranks = line.plan.ranks > 0 ? line.plan.ranks : world.size();
    const PlanReport report = make_plan_report(line.cfg.empty() ? "--set" : line.cfg, model, line.plan, ranks);
    if (speaks) {
      fmt::print("{}", line.plan.json ? plan_json(report).dump(2) + "\n" : plan_text(report));
    }
    check_that_something_fits(report);
  });
  return static_cast<int>(ExitCode::done);
}

}  // namespace lora_dist
