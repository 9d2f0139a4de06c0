// Collects a finished run's figures, and prints those of several.
#include "src/train/method_result.h"

#include <fmt/format.h>

#include <array>
#include <sstream>

#include "src/comm/agree.h"
#include "src/core/with_commas.h"
#include "src/io/file.h"
#include "src/io/strict_json.h"
#include "src/train/save_result.h"

namespace lora_dist {

namespace {

using nlohmann::json;

/// Calls work for each line of a run's log; none if the file does not exist.
template <class Work>
void for_each_record(const std::filesystem::path& file, Work work) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) {
    return;
  }
  std::istringstream lines(read_text_file(file, ExitCode::model));
  for (std::string line; std::getline(lines, line);) {
    try {
      work(parse_strict_json(line));
    } catch (const JsonError& error) {
      throw Error(ExitCode::model, fmt::format("{}: {}; the run's log is damaged", file.string(), error.what()));
    }
  }
}

void read_steps(MethodResult& result) {
  std::int64_t tokens = 0;
  for_each_record(result.folder / "metrics.jsonl", [&](const json& step) {
    result.steps = step.at("step").get<std::int64_t>();
    result.seconds += step.at("seconds").get<double>();
    tokens += step.at("tokens").get<std::int64_t>();
  });
  result.tokens_per_second = result.seconds > 0.0 ? static_cast<double>(tokens) / result.seconds : 0.0;
}

void read_evaluations(MethodResult& result) {
  for_each_record(result.folder / "eval.jsonl", [&](const json& evaluation) {
    const double loss = evaluation.at("loss").get<double>();
    if (evaluation.at("step") == 0) {
      result.loss_before = loss;
    }
    result.loss_after = loss;
  });
}

/// Of a model folder's weights.
std::int64_t bytes_of_files(const std::filesystem::path& folder) {
  std::int64_t bytes = 0;
  for (const std::filesystem::path& file : read_model_directory(folder).files) {
    bytes += static_cast<std::int64_t>(InputFile(file, ExitCode::model).size());
  }
  return bytes;
}

double percent_of(const MethodResult& result) {
  return 100.0 * static_cast<double>(result.trained) / static_cast<double>(result.all);
}

std::string loss_text(const std::optional<double>& loss) { return loss ? fmt::format("{:.4f}", *loss) : "-"; }

json or_null(const std::optional<double>& value) { return value ? json(*value) : json(nullptr); }

}  // namespace

MethodResult result_of(const TrainingRun& run) {
  MethodResult result;
  result.method = std::string(word_of(kMethods, run.config.adapter.method.first));
  result.folder = run.output;
  result.base = describe(run.model->base.format);
  result.trained = run.trained_count;
  result.all = (run.trained ? 0 : result.trained) + parameter_count(run.model->spec);
  result.learning_rate = run.config.train.learning_rate;
  std::array<std::int64_t, 1> bytes = {sum_by_kind(memory_of(*run.model))[kMemoryKinds]};
  run.world->all_reduce(bytes, Reduce::max, WireKind::control);
  result.rank_bytes = bytes[0];
  run_together(*run.world, [&] {
    if (run.world->rank() == 0) {
      read_steps(result);
      read_evaluations(result);
      result.adapter_bytes =
          run.trained ? bytes_of_files(result_folder(run, ResultOf::last))
                      : static_cast<std::int64_t>(InputFile(tensors_file(result.folder / "adapter"), ExitCode::model).size());
    }
  });
  return result;
}

json json_of(std::span<const MethodResult> results) {
  json methods = json::array();
  for (const MethodResult& result : results) {
    methods.push_back({{"method", result.method},
                       {"output", result.folder.string()},
                       {"base", result.base},
                       {"trained_parameters", result.trained},
                       {"all_parameters", result.all},
                       {"trained_percent", percent_of(result)},
                       {"rank_bytes", result.rank_bytes},
                       {"steps", result.steps},
                       {"seconds", result.seconds},
                       {"tokens_per_second", result.tokens_per_second},
                       {"learning_rate", result.learning_rate},
                       {"loss_before", or_null(result.loss_before)},
                       {"loss_after", or_null(result.loss_after)},
                       {"adapter_bytes", result.adapter_bytes}});
  }
  return {{"methods", methods}};
}

std::string table_of(std::span<const MethodResult> results) {
  std::string table = fmt::format("{:<12} {:>14} {:>9} {:>12} {:>8} {:>9} {:>9} {:>8} {:>8} {:>11}", "method", "trained", "share",
                                  "bytes/rank", "seconds", "tokens/s", "rate", "before", "after", "adapter");
  for (const MethodResult& result : results) {
    table += fmt::format("\n{:<12} {:>14} {:>8.4f}% {:>12} {:>8.1f} {:>9.0f} {:>9.2g} {:>8} {:>8} {:>11}", result.method,
                         with_commas(result.trained), percent_of(result), human_bytes(result.rank_bytes), result.seconds,
                         result.tokens_per_second, result.learning_rate, loss_text(result.loss_before),
                         loss_text(result.loss_after), human_bytes(result.adapter_bytes));
  }
  for (const MethodResult& result : results) {
    if (result.base != results.front().base) {
      table += fmt::format("\n{} over another base than {}: {}", result.method, results.front().method, result.base);
    }
  }
  return table;
}

}  // namespace lora_dist
