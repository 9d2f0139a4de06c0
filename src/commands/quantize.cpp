// lora_dist quantize: the quantized base written once, as a folder that takes the place of the model's.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "src/base/prequantized.h"
#include "src/commands/commands.h"
#include "src/commands/inference.h"
#include "src/commands/read_config.h"
#include "src/commands/work_folder.h"
#include "src/convert/write_base_store.h"
#include "src/core/error.h"
#include "src/core/memory_report.h"
#include "src/io/base_store.h"
#include "src/job/data_setup.h"
#include "src/report/console.h"
#include "src/report/progress.h"

namespace lora_dist {

namespace {

namespace fs = std::filesystem;

/// The model, and how its base is wanted: of the options, else of the configuration.
struct Job {
  fs::path model;
  WantedFormat wanted;
};

Job job_of(Communicator& world, const CommandLine& line) {
  Job job{line.model, wanted_format(line)};
  if (line.cfg.empty() && line.sets.empty()) {
    return job;
  }
  const Config config = read_config(world, line, false);
  if (line.model.empty()) {
    job.model = config.model.path;
  }
  WantedFormat& wanted = job.wanted;
  wanted.format = base_format(wanted.quantization_given ? line.quantization : config.model.quantization,
                              wanted.double_quant_given ? line.double_quant : config.model.double_quant,
                              wanted.block_size_given ? line.block_size : config.model.block_size);
  wanted.quantization_given = wanted.quantization_given || config.is_explicit("model.quantization");
  wanted.double_quant_given = wanted.double_quant_given || config.is_explicit("model.double_quant");
  wanted.block_size_given = wanted.block_size_given || config.is_explicit("model.block_size");
  return job;
}

/// The format of the store: the wanted one, or that of a folder that is quantized already.
BaseFormat checked_format(const Job& job, const fs::path& output) {
  if (job.model.empty()) {
    throw Error(ExitCode::usage, "quantize needs a model: --model DIR, or model.path in the configuration");
  }
  std::error_code ignored;
  if (fs::exists(output, ignored)) {
    throw Error(ExitCode::usage, fmt::format("--output {} is there already; name a new folder", output.string()));
  }
  const ModelSpec spec = read_model_config(job.model);
  open_model_tokenizer(job.model, spec);  // its files go with the store
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

/// A line for each tenth, with the time that is left.
struct Progress {
  const Console& console;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  std::int64_t shown = 0;  // tenths

  void operator()(std::int64_t done, std::int64_t all) {
    if (const std::int64_t tenths = done * 10 / all; tenths > shown) {
      shown = tenths;
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      console.line(fmt::format("{} of {} tensors, {} left", done, all,
                               human_duration(seconds / static_cast<double>(done) * static_cast<double>(all - done))));
    }
  }
};

}  // namespace

int run_quantize(Communicator& world, const ProcessPlace& place, const CommandLine& line) {
  const Console console{world.rank() == 0};
  const Job job = job_of(world, line);
  const fs::path output = line.output;
  BaseFormat format;
  run_together(world, [&] { format = checked_format(job, output); });
  const WorkFolder folder(output, world);
  run_together(world, [&] {
    if (!folder.owned) {
      return;  // one file has one writer
    }
    Stream stream;
    stream.threads = threads_per_rank(place);
    write_base_store(job.model, folder.path, format, stream, Progress{console});
    commit_atomic_directory(folder.path, output);
    console.line(fmt::format("base store in {}: {}, {}; use it as model.path", output.string(), describe(format),
                             human_bytes(bytes_of(output / kBaseStoreFile))));
  });
  return static_cast<int>(ExitCode::done);
}

}  // namespace lora_dist
