// lora_dist data: shows the tokens and labels of training, without a model's weights.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "src/comm/agree.h"
#include "src/commands/config_options.h"
#include "src/commands/option_values.h"
#include "src/commands/watch_command.h"
#include "src/core/error.h"
#include "src/data/dataset.h"
#include "src/data/shown_sample.h"
#include "src/job/adapter_setup.h"
#include "src/job/checkpoint_records.h"
#include "src/job/data_setup.h"
#include "src/model/model_config.h"
#include "src/report/console.h"

namespace lora_dist {

namespace {

namespace po = boost::program_options;

struct DataCommandOptions {
  ConfigOptions config;
  int samples = 3;  // number of samples to show
  bool json = false;
};

void describe(CommandUse& use, DataCommandOptions& options) {
  use.lists_keys = true;
  describe_config_options(use, options.config);
  use.options.add_options()                                                                               //
      ("samples", value_of(options.samples, "N"), "training samples to show token by token (default 3)")  //
      ("json", po::bool_switch(&options.json),
       "print the samples alone, a line {\"file\", \"row\", \"input_ids\", \"labels\"} each (labels as Hugging Face's)");
}

void check(const DataCommandOptions& options) {
  if (options.samples < 0) {
    fail_usage(fmt::format("--samples must be at least 0 (got {})", options.samples));
  }
  check_config_is_given("data", options.config);
}

void show_samples(const Dataset& dataset, const Tokenizer* tokenizer, int count, const Console& console) {
  const std::size_t shown = std::min(dataset.train.size(), static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < shown; ++i) {
    const Sample& sample = dataset.train[i];
    console.line(fmt::format("\ntraining sample {} of {}: {}, row {} (position, id, label, token):", i + 1, dataset.train.size(),
                             dataset.report.files[static_cast<std::size_t>(sample.file)].path, sample.row));
    for (const std::string& line : show_sample(sample, tokenizer)) {
      console.line(line);
    }
  }
}

/// One line of JSON per sample.
void print_samples(const Dataset& dataset, int count) {
  const std::size_t shown = std::min(dataset.train.size(), static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < shown; ++i) {
    const Sample& sample = dataset.train[i];
    const std::vector<std::int32_t> ids(sample.input_ids.begin(), sample.input_ids.end());
    const std::vector<std::int32_t> labels(sample.labels.begin(), sample.labels.end());
    const nlohmann::ordered_json line = {{"file", dataset.report.files[static_cast<std::size_t>(sample.file)].path},
                                         {"row", sample.row},
                                         {"input_ids", ids},
                                         {"labels", labels}};
    fmt::print("{}\n",
               line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));  // file names may be invalid UTF-8
  }
}

int run(Communicator& world, const ProcessInfo& process, const DataCommandOptions& asked) {
  if (asked.config.print_config) {
    return print_resolved_config(world, asked.config);
  }
  const Console console{process.rank == 0, asked.json};
  Config config = read_config(world, asked.config);
  const auto watchdog = watch_command(world, process, config.parallel.watchdog_seconds);
  ModelSpec spec;
  std::optional<Tokenizer> tokenizer;
  run_together(world, [&] {
    spec = read_model_config(config.model.path);
    tokenizer = open_model_tokenizer(config.model.path, spec);
  });
  for (const std::string& warning : spec.warnings) {
    console.warn(warning);
  }
  tell_tokenizer_notes(tokenizer, console);
  if (!config.tokenizer.add_tokens.empty() || !config.tokenizer.add_special_tokens.empty()) {
    console.note("the samples are read without the tokens of tokenizer.add_tokens and add_special_tokens, which training adds");
  }
  run_together(world, [&] { fit_max_length(config, spec, configured_virtual_tokens(config.adapter), console); });
  DataOptions options = data_options(config);
  options.template_day = day_of_templates(config, world);
  Dataset dataset;
  run_together(world, [&] { dataset = load_dataset(options, tokenizer ? &*tokenizer : nullptr, spec.vocab); });
  dataset.report.shown_sample.clear();  // shown below
  for (const std::string& text : render_report(dataset.report)) {
    if (asked.json && console.speaks) {
      fmt::print(stderr, "{}\n", text);  // stdout has the samples
    }
    console.line(text);
  }
  if (asked.json && config.output.show_text && process.rank == 0) {  // the report explains why samples are hidden
    print_samples(dataset, asked.samples);
  }
  show_samples(dataset, tokenizer ? &*tokenizer : nullptr, config.output.show_text ? asked.samples : 0, console);
  return static_cast<int>(ExitCode::done);
}

}  // namespace

CommandUse data_command() { return make_use<DataCommandOptions>(describe, check, run); }

}  // namespace lora_dist
