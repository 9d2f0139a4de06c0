// lora_dist quantize: writes the quantized base once, as a folder that replaces the model's.
#include <fmt/format.h>

#include <filesystem>

#include "src/base/prequantized.h"
#include "src/commands/base_options.h"
#include "src/commands/config_options.h"
#include "src/commands/option_values.h"
#include "src/commands/tensor_progress.h"
#include "src/commands/watch_command.h"
#include "src/commands/work_folder.h"
#include "src/convert/write_base_store.h"
#include "src/core/error.h"
#include "src/core/memory_report.h"
#include "src/io/base_store.h"
#include "src/job/data_setup.h"
#include "src/report/console.h"

namespace lora_dist {

namespace {

namespace fs = std::filesystem;

struct QuantizeOptions {
  ConfigOptions config;
  std::string model;
  std::string output;
  BaseOptions base;
};

void describe(CommandUse& use, QuantizeOptions& options) {
  describe_config_options(use, options.config);
  use.options.add_options()                                                                                                 //
      ("model", path_of(options.model, "DIR"), "Hugging Face model folder, or a GGUF file (default: model.path of --cfg)")  //
      ("output", path_of(options.output, "DIR"), "new folder, which then takes the model's place in model.path")            //
      ("quantization", word_value(options.base.quantization, "quantization", kQuantizations)->value_name("nf4|fp4"),
       "(default: of --cfg, else nf4)")                                                                         //
      ("block-size", value_of(options.base.block_size, "N"), "weights per scale (default: of --cfg, else 64)")  //
      ("double-quant", value_of(options.base.double_quant, "true|false"),
       "quantize the block scales as well (default: of --cfg, else true)");
}

void check(const QuantizeOptions& options) {
  check_needed("quantize", {{!options.model.empty() || options.config.are_given(), "--model DIR"},
                            {!options.output.empty(), "--output DIR"}});
  check_base_options(options.base);
}

/// The model and the wanted base format, from the options, else from the configuration.
struct Job {
  fs::path model;
  WantedFormat wanted;
  int watchdog_seconds;
};

Job job_of(Communicator& world, const QuantizeOptions& options) {
  Job job{options.model, wanted_format(options.base, Quantization::nf4), ParallelConfig{}.watchdog_seconds};
  if (!options.config.are_given()) {
    return job;
  }
  const Config config = read_config(world, options.config, false);
  job.watchdog_seconds = config.parallel.watchdog_seconds;
  if (options.model.empty()) {
    job.model = config.model.path;
  }
  WantedFormat& wanted = job.wanted;
  wanted.format = {options.base.quantization.value_or(config.model.quantization),
                   options.base.double_quant.value_or(config.model.double_quant),
                   options.base.block_size.value_or(config.model.block_size)};
  wanted.quantization_given = wanted.quantization_given || config.is_explicit("model.quantization");
  wanted.double_quant_given = wanted.double_quant_given || config.is_explicit("model.double_quant");
  wanted.block_size_given = wanted.block_size_given || config.is_explicit("model.block_size");
  return job;
}

/// The format of the store: the wanted one, or that of a prequantized folder.
BaseFormat checked_format(const Job& job, const fs::path& output) {
  if (job.model.empty()) {
    throw Error(ExitCode::usage, "quantize needs a model: --model DIR, or model.path in the configuration");
  }
  std::error_code ignored;
  if (fs::exists(output, ignored)) {
    throw Error(ExitCode::usage, fmt::format("--output {} is there already; name a new folder", output.string()));
  }
  const ModelSpec spec = read_model_config(job.model);
  open_model_tokenizer(job.model, spec);  // checked because its files are copied
  if (const auto stored = stored_format(spec, read_model_directory(job.model))) {
    return agree_on_format(job.wanted, *stored, job.model.string());
  }
  if (!job.wanted.format.is_four_bit()) {
    throw Error(ExitCode::usage, fmt::format("quantize writes nf4 or fp4 (got {}); other bases are made from the model's folder "
                                             "while loading",
                                             name_of(job.wanted.format.quantization)));
  }
  return job.wanted.format;
}

std::int64_t bytes_of(const fs::path& file) {
  std::error_code ignored;
  return static_cast<std::int64_t>(fs::file_size(file, ignored));
}

int run(Communicator& world, const ProcessInfo& process, const QuantizeOptions& options) {
  if (options.config.print_config) {
    return print_resolved_config(world, options.config);
  }
  const Console console{world.rank() == 0};
  const Job job = job_of(world, options);
  const auto watchdog = watch_command(world, process, job.watchdog_seconds);
  const fs::path output = options.output;
  BaseFormat format;
  run_together(world, [&] { format = checked_format(job, output); });
  const WorkFolder folder(output, world);
  run_together(world, [&] {
    if (!folder.owned) {
      return;  // only one rank writes the file
    }
    Stream stream;
    stream.threads = threads_per_rank(process);
    write_base_store(job.model, folder.path, format, stream, TensorProgress{console});
    commit_atomic_directory(folder.path, output);
    console.line(fmt::format("base store in {}: {}, {}; use it as model.path", output.string(), describe(format),
                             human_bytes(bytes_of(output / kBaseStoreFile))));
  });
  return static_cast<int>(ExitCode::done);
}

}  // namespace

CommandUse quantize_command() { return make_use<QuantizeOptions>(describe, check, run); }

}  // namespace lora_dist
