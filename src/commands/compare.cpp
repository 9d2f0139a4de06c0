// lora_dist compare: trains several adapter methods on the same data, one after another over one loaded base.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <sstream>

#include "src/adapter/method.h"
#include "src/comm/agree.h"
#include "src/commands/config_options.h"
#include "src/commands/option_values.h"
#include "src/config/check_config.h"
#include "src/config/load_config.h"
#include "src/core/stop_request.h"
#include "src/core/version.h"
#include "src/io/file.h"
#include "src/job/adapter_setup.h"
#include "src/job/full_setup.h"
#include "src/job/ranks_agree.h"
#include "src/train/method_result.h"
#include "src/train/trainer.h"

namespace lora_dist {

namespace {

struct CompareOptions {
  ConfigOptions config;
  std::string methods;
  std::vector<std::string> rates;  // "METHOD=RATE"
};

void describe(CommandUse& use, CompareOptions& options) {
  use.lists_keys = true;
  describe_config_options(use, options.config);
  use.options.add_options()                                                                                        //
      ("methods", value_of(options.methods, "lora,dora,..."), "values of adapter.method to train, in this order")  //
      ("learning-rate", value_of(options.rates, "METHOD=RATE"),
       "train.learning_rate of one method (the others: the configuration's); may be repeated");
  use.before_mpi = [] { listen_for_stop_requests(); };
}

std::vector<std::string> names_of(const std::string& list) {
  std::vector<std::string> names;
  std::istringstream parts(list);
  for (std::string name; std::getline(parts, name, ',');) {
    if (name.empty()) {
      fail_usage(fmt::format("--methods {} names an empty method", list));
    }
    if (std::ranges::find(names, name) != names.end()) {
      fail_usage(fmt::format("--methods names {} twice", name));
    }
    names.push_back(name);
  }
  return names;
}

/// "METHOD=RATE" by method. Throws for a method that is not compared.
std::map<std::string, std::string> rates_of(const CompareOptions& options) {
  std::map<std::string, std::string> rates;
  const std::vector<std::string> names = names_of(options.methods);
  for (const std::string& rate : options.rates) {
    const std::size_t equals = std::min(rate.find('='), rate.size());
    const std::string name = rate.substr(0, equals);
    if (equals == rate.size() || std::ranges::find(names, name) == names.end() ||
        !rates.emplace(name, rate.substr(equals + 1)).second) {
      fail_usage(fmt::format("--learning-rate {}: METHOD=RATE is needed, once for each method of --methods at most", rate));
    }
  }
  return rates;
}

void check(const CompareOptions& options) {
  check_config_is_given("compare", options.config);
  if (!options.config.print_config) {
    check_needed("compare", {{!options.methods.empty(), "--methods lora,dora,..."}});
  }
  rates_of(options);
}

/// The configuration of one method; its output.dir is a folder in that of the comparison. Options of other methods are left out.
Config config_of_method(const Config& all, const std::string& name, const std::map<std::string, std::string>& rates,
                        const Console& console) {
  Config config = all;
  config.adapter.method = load_config({}, {"adapter.method=" + name}, /*any_method=*/true).adapter.method;
  config.origins["adapter.method"] = "--methods";
  for (const std::string& key : leave_out_options_of_other_methods(config)) {
    console.note(fmt::format("{} is left out for {}, which does not have it", key, name));
  }
  if (!trains_base(config) && !config.train.trainable.empty()) {
    console.note(fmt::format("train.trainable is left out for {}, which does not have it", name));
    config.train.trainable.clear();
  }
  if (trains_base(config) && config.model.quantization != Quantization::none) {
    console.note("full is trained on a base of its own, which is not quantized");
    config.model.quantization = Quantization::none;
    config.origins["model.quantization"] = "--methods";
  }
  if (method_of(config.adapter.method.first).default_modules != nullptr && config.is_explicit("adapter.target_modules")) {
    console.note(fmt::format("adapter.target_modules is left out for {}, which has modules of its own", name));
    config.adapter.target_modules = AdapterConfig{}.target_modules;
    config.origins["adapter.target_modules"] = "default";
  }
  if (const ConfigProblem problem = find_contradiction(config); !problem.keys.empty()) {
    throw Error(ExitCode::usage, fmt::format("method {}: {}", name, problem.text));
  }
  if (const auto rate = rates.find(name); rate != rates.end()) {
    config.train.learning_rate = load_config({}, {"train.learning_rate=" + rate->second}).train.learning_rate;
    config.origins["train.learning_rate"] = "--learning-rate";
  }
  config.output.dir = (std::filesystem::path(config.output.dir) / name).string();
  return config;
}

/// All methods share the base's vocabulary and the data. Throws Error(usage).
void check_same_tokenizer(std::span<const Config> configs) {
  const auto adds = [](const Config& config) {
    return !config.tokenizer.add_tokens.empty() || !config.tokenizer.add_special_tokens.empty();
  };
  const auto with = std::ranges::find_if(configs, adds);
  const auto without = std::ranges::find_if_not(configs, adds);
  if (with != configs.end() && without != configs.end()) {
    throw Error(
        ExitCode::usage,
        fmt::format("tokenizer.add_tokens and add_special_tokens are taken by {}, but not by {}, and all methods of compare "
                    "have the same tokens; leave the tokens or {} out",
                    word_of(kMethods, with->adapter.method.first), word_of(kMethods, without->adapter.method.first),
                    word_of(kMethods, without->adapter.method.first)));
  }
}

std::vector<Config> configs_of_methods(Communicator& world, const Config& all, const CompareOptions& options) {
  std::vector<Config> configs;
  run_together(world, [&] {
    if (!all.adapter.init_from.empty()) {
      throw Error(ExitCode::usage, "compare starts new adapters of each method; leave adapter.init_from out");
    }
    const std::map<std::string, std::string> rates = rates_of(options);
    for (const std::string& name : names_of(options.methods)) {
      configs.push_back(config_of_method(all, name, rates, Console{world.rank() == 0}));
    }
  });
  run_together(world, [&] { check_same_tokenizer(configs); });
  for (const Config& config : configs) {
    check_same_program(world, config, kProgramVersion);
  }
  return configs;
}

/// Replaces the adapter of `run`, which was opened with `opened`, by that of `config`.
void begin_method(TrainingRun& run, const Config& opened, const Config& config) {
  run.config = opened;
  run.config.adapter = config.adapter;
  run.config.train.learning_rate = config.train.learning_rate;
  run.config.output.dir = config.output.dir;
  for (const auto& [key, origin] : config.origins) {
    if (key.starts_with("adapter.") || key == "train.learning_rate" || key == "output.dir") {
      run.config.origins[key] = origin;
    }
  }
  run.output = config.output.dir;
  run.waits = {};
  run_together(*run.world, [&] {
    choose_targets(run.config, run.model->spec);
    if (run.world->rank() == 0) {
      make_output_directory(run.output, "output.dir");
    }
  });
  set_up_adapter(run);
}

/// What a later method cannot do must not be found when the earlier ones have been trained.
void check_methods(const TrainingRun& run, std::span<const Config> configs) {
  run_together(*run.world, [&] {
    for (Config config : configs) {
      if (trains_base(config)) {
        check_trained_folder(config.model.path, run.model->spec);
        check_trained_model(config, run.model->spec);
      }
      choose_targets(config, run.model->spec);
      configured_layout(config, run.model->spec);
    }
  });
}

/// The opened base with its data: adapters share one, and full fine-tuning has its own, which it changes.
struct OpenedBase {
  std::optional<TrainingRun> run;
  Config config;  // as it was opened
  bool trained = false;

  /// Closes one base before it opens another.
  void open(const Config& wanted, Communicator& world, const Device& device, const std::filesystem::path& folder) {
    if (run && !trained && !trains_base(wanted)) {
      return;
    }
    run.reset();
    Config first = wanted;
    first.output.dir = folder.string();
    run.emplace(open_training(first, world, device));
    config = run->config;
    trained = trains_base(wanted);
  }
};

void write_results(const TrainingRun& run, const std::filesystem::path& folder, const std::vector<MethodResult>& results) {
  run_together(*run.world, [&] {
    if (run.world->rank() == 0) {
      write_file_atomically(folder / "compare.json", json_of(results).dump(2) + "\n", ExitCode::usage);
    }
  });
}

int run(Communicator& world, const ProcessInfo& process, const CompareOptions& options) {
  if (options.config.print_config) {
    return print_resolved_config(world, options.config);
  }
  const Config all = read_config(world, options.config, /*complete=*/true, /*any_method=*/true);
  const std::vector<Config> configs = configs_of_methods(world, all, options);
  if (!all.checkpoint.on_signal) {
    end_on_stop_requests();
  }
  const std::filesystem::path folder = all.output.dir;
  const Config longest = *std::ranges::max_element(configs, {}, [](const Config& each) {  // all get the same data
    return std::pair(!trains_base(each), configured_virtual_tokens(each.adapter));
  });
  const auto device = choose_device(device_choice(longest), process, world, Console{world.rank() == 0});
  OpenedBase opened;
  opened.open(longest, world, *device, folder);
  check_methods(*opened.run, configs);
  std::vector<MethodResult> results;
  for (const Config& config : configs) {
    opened.open(trains_base(config) ? config : longest, world, *device, folder);
    TrainingRun& training = *opened.run;
    training.console.line(fmt::format("\nmethod     {} ({} of {})", word_of(kMethods, config.adapter.method.first),
                                      results.size() + 1, configs.size()));
    begin_method(training, opened.config, config);
    if (const ExitCode code = run_training(training); code != ExitCode::done) {
      return static_cast<int>(code);
    }
    results.push_back(result_of(training));
    write_results(training, folder, results);
  }
  opened.run->console.line(fmt::format("\n{}\n\nwritten to {}", table_of(results), (folder / "compare.json").string()));
  return static_cast<int>(ExitCode::done);
}

}  // namespace

CommandUse compare_command() { return make_use<CompareOptions>(describe, check, run); }

}  // namespace lora_dist
