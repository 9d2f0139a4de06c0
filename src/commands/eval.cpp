// lora_dist eval: scores a model, with or without an adapter, on the validation data.
#include <limits>
#include <nlohmann/json.hpp>

#include "src/comm/agree.h"
#include "src/commands/config_options.h"
#include "src/commands/option_values.h"
#include "src/commands/watch_command.h"
#include "src/core/error.h"
#include "src/eval/evaluator.h"
#include "src/io/file.h"
#include "src/job/model_run.h"
#include "src/report/metrics_log.h"
#include "src/report/progress.h"

namespace lora_dist {

namespace {

struct EvalOptions {
  ConfigOptions config;
  std::string adapter;
};

void describe(CommandUse& use, EvalOptions& options) {
  use.lists_keys = true;
  describe_config_options(use, options.config);
  use.options.add_options()("adapter", path_of(options.adapter, "DIR"),
                            "PEFT adapter folder to score (default: adapter.init_from; empty: the base alone)");
}

void check(const EvalOptions& options) { check_config_is_given("eval", options.config); }

void write_results(const ModelRun& run, const Evaluation& evaluation, const std::string& adapter) {
  make_output_directory(run.output, "output.dir");
  MetricsLog log(run.output / "eval.jsonl", std::numeric_limits<std::int64_t>::max());  // keeps all earlier lines
  log.append(EvalRecord{0, 0.0, evaluation.loss, evaluation.perplexity, evaluation.samples, evaluation.target_tokens,
                        evaluation.seconds, false});
  log.sync();
  const nlohmann::json summary = {{"model", run.config.model.path},
                                  {"adapter", adapter},
                                  {"quantization", name_of(run.config.model.quantization)},
                                  {"loss", evaluation.loss},
                                  {"perplexity", evaluation.perplexity},
                                  {"samples", evaluation.samples},
                                  {"target_tokens", evaluation.target_tokens},
                                  {"seconds", evaluation.seconds}};
  write_file_atomically(run.output / "eval.json", summary.dump(2) + "\n", ExitCode::usage);
}

int run(Communicator& world, const ProcessInfo& process, const EvalOptions& options) {
  if (options.config.print_config) {
    return print_resolved_config(world, options.config);
  }
  const Config config = read_config(world, options.config);
  const auto watchdog = watch_command(world, process, config.parallel.watchdog_seconds);
  const std::string adapter = options.adapter.empty() ? config.adapter.init_from : options.adapter;
  const auto device = choose_device(device_choice(config), process, world, Console{world.rank() == 0});
  ModelRun tested;
  begin_run(tested, config, world, *device, Purpose::evaluate);
  open_run(tested, Purpose::evaluate, adapter);
  run_together(world, [&] { take_workspace(tested, Purpose::evaluate); });
  if (tested.validation.empty()) {
    throw Error(ExitCode::data, "there is no validation data: name files in data.validation, or raise data.validation_split",
                ErrorScope::collective);
  }
  std::int64_t shown = 0;
  const Evaluation evaluation = evaluate(tested.tuned(), *tested.mesh.data_group, tested.validation, tested.dataset.validation,
                                         config.train.micro_batch, [&](std::int64_t done, std::int64_t all) {
                                           if (done == all || done / 50 > shown / 50) {
                                             shown = done;
                                             tested.console.line(fmt::format("scored {} of {} micro-batches", done, all));
                                           }
                                         });
  run_together(world, [&] {
    if (world.rank() == 0) {
      write_results(tested, evaluation, adapter);
    }
  });
  tested.console.line(fmt::format("loss {:.6f}, perplexity {:.4f} over {} samples ({} target tokens) in {}; written to {}",
                                  evaluation.loss, evaluation.perplexity, evaluation.samples, evaluation.target_tokens,
                                  human_duration(evaluation.seconds), (tested.output / "eval.json").string()));
  return static_cast<int>(ExitCode::done);
}

}  // namespace

CommandUse eval_command() { return make_use<EvalOptions>(describe, check, run); }

}  // namespace lora_dist
