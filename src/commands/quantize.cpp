// lora_dist quantize: the quantized base written once, as a folder that takes the place of the model's.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "src/comm/agree.h"
#include "src/commands/commands.h"
#include "src/commands/read_config.h"
#include "src/core/error.h"
#include "src/core/memory_report.h"
#include "src/export/write_base_store.h"
#include "src/io/atomic_directory.h"
#include "src/io/base_store.h"
#include "src/model/prequantized.h"
#include "src/train/console.h"
#include "src/train/progress.h"

namespace lora_dist {

namespace {

namespace fs = std::filesystem;

/// The model and its format: of the options, else of the configuration.
struct Job {
  fs::path model;
  BaseFormat format;
};

Job job_of(Communicator& world, const CommandLine& line) {
  Job job{line.model, base_format(line.quantization, line.double_quant, line.block_size)};
  if (!line.cfg.empty() || !line.sets.empty()) {
    const Config config = read_config(world, line, false);
    if (line.model.empty()) {
      job.model = config.model.path;
    }
    job.format = base_format(line.given.contains("quantization") ? line.quantization : config.model.quantization,
                             line.given.contains("double-quant") ? line.double_quant : config.model.double_quant,
                             line.given.contains("block-size") ? line.block_size : config.model.block_size);
  }
  return job;
}

void check(const Job& job, const fs::path& output) {
  if (job.model.empty()) {
    throw Error(ExitCode::usage, "quantize needs a model: --model DIR, or model.path in the configuration");
  }
  if (!job.format.is_four_bit()) {
    throw Error(ExitCode::usage,
                fmt::format("quantize writes nf4 or fp4 (got {}); other bases are made from the model's folder while "
                            "loading",
                            name_of(job.format.quantization)));
  }
  std::error_code ignored;
  if (fs::exists(output, ignored)) {
    throw Error(ExitCode::usage, fmt::format("--output {} is there already; name a new folder", output.string()));
  }
}

std::int64_t bytes_of(const fs::path& file) {
  std::error_code ignored;
  return static_cast<std::int64_t>(fs::file_size(file, ignored));
}

}  // namespace

int run_quantize(Communicator& world, const ProcessPlace& place, const CommandLine& line) {
  const Console console{world.rank() == 0};
  const Job job = job_of(world, line);
  const fs::path output = line.output;
  run_together(world, [&] {
    check(job, output);
    if (world.rank() != 0) {
      return;  // one file has one writer
    }
    Stream stream;
    stream.threads = threads_per_rank(place);
    const auto start = std::chrono::steady_clock::now();
    const fs::path temporary = begin_atomic_directory(output);
    std::int64_t shown = 0;
    write_base_store(job.model, temporary, job.format, stream, [&](std::int64_t done, std::int64_t all) {
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      if (const std::int64_t tenth = done * 10 / all; tenth > shown) {
        shown = tenth;
        console.line(fmt::format("{} of {} tensors, {} left", done, all,
                                 human_duration(seconds / static_cast<double>(done) * static_cast<double>(all - done))));
      }
    });
    commit_atomic_directory(temporary, output);
    console.line(fmt::format("base store in {}: {}, {}; use it as model.path", output.string(), describe(job.format),
                             human_bytes(bytes_of(output / kBaseStoreFile))));
  });
  return static_cast<int>(ExitCode::done);
}

}  // namespace lora_dist
