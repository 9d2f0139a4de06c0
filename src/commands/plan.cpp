// lora_dist plan: memory, traffic and time of a configuration, from config.json alone.
#include <fmt/format.h>

#include "src/comm/agree.h"
#include "src/commands/config_options.h"
#include "src/commands/option_values.h"
#include "src/commands/watch_command.h"
#include "src/config/load_config.h"
#include "src/core/error.h"
#include "src/plan/plan_report.h"
#include "src/report/console.h"

namespace lora_dist {

namespace {

namespace po = boost::program_options;

constexpr std::int64_t kMany = std::int64_t{1} << 40;

struct PlanCommandOptions {
  ConfigOptions config;
  PlanOptions plan;
};

void describe(CommandUse& use, PlanCommandOptions& options) {
  use.lists_keys = true;
  describe_config_options(use, options.config);
  PlanOptions& plan = options.plan;
  use.options.add_options()                                                                                                   //
      ("memory", value_of(plan.memory, "80GB"), "of one GPU (or of one rank on CPUs): does it fit? (default: the device's)")  //
      ("ranks", count_of(plan.ranks, "ranks", kMostRanks), "GPUs, or ranks on CPUs (default 1, or those of mpirun)")          //
      ("target", value_of(plan.target, "cpu|cuda"),
       "(default cuda where --memory, --device or the configuration ask for a GPU)")                                       //
      ("device", value_of(plan.device, "NAME"), "GPU: v100, a100, h100, h200, rtx3090, rtx4090, l40s ... (default h100)")  //
      ("efficiency", value_of(plan.efficiency, "X"),
       "share of the device's peak that is reached; an assumption (default 0.45)")  //
      ("cpu-gflops", value_of(plan.cpu_gflops, "X"),
       "10^9 floating point operations a second that a rank on CPUs reaches: predicts times for them too")               //
      ("gpus-per-node", count_of(plan.gpus_per_node, "gpus-per-node", kMostRanks), "(default 8)")                        //
      ("link-intra", value_of(plan.link_intra, "450GB/s"), "of a GPU within its node, one way (default: the device's)")  //
      ("link-inter", value_of(plan.link_inter, "25GB/s"), "of a GPU to other nodes, one way (default 25GB/s)")           //
      ("latency-intra", value_of(plan.latency_intra, "5us"), "(default 5us)")                                            //
      ("latency-inter", value_of(plan.latency_inter, "15us"), "(default 15us)")                                          //
      ("link", path_of(plan.link, "FILE"),
       "TOML with link_intra, link_inter, latency_intra, latency_inter, gpus_per_node; options overrule it")           //
      ("samples", count_of(plan.samples, "samples", kMany), "of the training data: tells the hours of the whole run")  //
      ("tokens-per-sample", count_of(plan.tokens_per_sample, "tokens-per-sample", kMany),
       "(default: a sample fills a sequence)")  //
      ("tokens-per-sequence", count_of(plan.tokens_per_sequence, "tokens-per-sequence", kMany),
       "(default: sequences are full, data.max_length)")  //
      ("json", po::bool_switch(&plan.json), "print JSON");
}

void check(const PlanCommandOptions& options) { check_config_is_given("plan", options.config); }

int run(Communicator& world, const ProcessInfo& process, const PlanCommandOptions& options) {
  if (options.config.print_config) {
    return print_resolved_config(world, options.config);
  }
  const Config config = read_config(world, options.config, /*complete=*/false);
  const auto watchdog = watch_command(world, process, config.parallel.watchdog_seconds);
  const bool speaks = process.rank == 0;
  const Console console{speaks, options.plan.json};
  run_together(world, [&] {
    std::vector<std::filesystem::path> shipped;
    for (const std::filesystem::path& folder : config_folders(program_path())) {
      shipped.push_back(folder / "models");
    }
    const PlannedModel model = open_planned_model(config, shipped, console);
    const int ranks = options.plan.ranks > 0 ? options.plan.ranks : world.size();
    const PlanReport report =
        make_plan_report(options.config.cfg.empty() ? "--set" : options.config.cfg, model, options.plan, ranks);
    if (speaks) {
      fmt::print("{}", options.plan.json ? plan_json(report).dump(2) + "\n" : plan_text(report));
    }
    check_that_something_fits(report);
  });
  return static_cast<int>(ExitCode::done);
}

}  // namespace

CommandUse plan_command() { return make_use<PlanCommandOptions>(describe, check, run); }

}  // namespace lora_dist
