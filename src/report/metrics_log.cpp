// Writes both logs of a run, line by line.
#include "src/report/metrics_log.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <utility>

#include "src/core/error.h"
#include "src/io/file.h"

namespace lora_dist {

namespace {

/// The step of a complete line of a log; -1 for any other text.
std::int64_t step_of(std::string_view line) {
  const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("step") || !json["step"].is_number_integer()) {
    return -1;
  }
  return json["step"].get<std::int64_t>();
}

/// The lines of `text` that a run resumed after `last_step` keeps. A line without a line feed is incomplete.
std::string kept_lines(std::string_view text, std::int64_t last_step) {
  std::string kept;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) {
      break;
    }
    const std::string_view line = text.substr(begin, end - begin + 1);
    const std::int64_t step = step_of(line);
    if (step >= 0 && step <= last_step) {
      kept += line;
    }
    begin = end + 1;
  }
  return kept;
}

/// Removes all other lines from the file, if it exists; returns its path.
const std::filesystem::path& cut_back(const std::filesystem::path& path, std::int64_t last_step) {
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) {
    const std::string text = read_text_file(path, ExitCode::usage);
    const std::string kept = kept_lines(text, last_step);
    if (kept.size() != text.size()) {
      write_file_atomically(path, kept, ExitCode::usage);
    }
  }
  return path;
}

/// Null if unknown.
nlohmann::ordered_json waits_json(const WaitTimes& waits) {
  if (!waits.known) {
    return nullptr;
  }
  const std::optional<double> hidden = waits.hidden();
  return {{"base_gather", waits.base_gather},
          {"adapter_gradient", waits.adapter_gradient},
          {"gathers_hidden", hidden ? nlohmann::ordered_json(*hidden) : nlohmann::ordered_json()}};
}

/// Null if none was committed.
nlohmann::ordered_json save_json(const std::optional<SaveTimes>& saved) {
  if (!saved) {
    return nullptr;
  }
  return {{"step", saved->step}, {"blocked_seconds", saved->blocked_seconds}, {"seconds", saved->seconds}};
}

}  // namespace

std::optional<double> WaitTimes::hidden() const {
  if (!known || gathers <= 0.0) {
    return std::nullopt;
  }
  return std::clamp(1.0 - base_gather / gathers, 0.0, 1.0);
}

std::string to_json_line(const StepMetrics& metrics) {
  nlohmann::ordered_json wire;
  for (std::size_t kind = 0; kind < kWireKinds; ++kind) {
    wire[std::string(name_of(static_cast<WireKind>(kind)))] = metrics.wire.bytes[kind];
  }
  nlohmann::ordered_json json;
  json["step"] = metrics.step;
  json["epoch"] = metrics.epoch;
  json["loss"] = metrics.loss;
  json["learning_rate"] = metrics.learning_rate;
  json["grad_norm"] = metrics.grad_norm;
  if (metrics.regularization_loss) {
    json["orthogonality_loss"] = *metrics.regularization_loss;
  }
  json["tokens"] = metrics.tokens;
  json["target_tokens"] = metrics.target_tokens;
  json["seconds"] = metrics.seconds;
  json["tokens_per_second"] = metrics.tokens_per_second;
  json["memory_peak_bytes"] = metrics.memory_peak_bytes;
  json["wire_bytes"] = std::move(wire);
  json["waited"] = waits_json(metrics.waits);
  json["slowest_rank"] = metrics.slowest_rank;
  json["slowest_ratio"] = metrics.slowest_ratio;
  json["checkpoint"] = save_json(metrics.saved);
  return json.dump();
}

std::string to_json_line(const EvalRecord& record) {
  nlohmann::ordered_json json;
  json["step"] = record.step;
  json["epoch"] = record.epoch;
  json["loss"] = record.loss;
  json["perplexity"] = record.perplexity;
  json["samples"] = record.samples;
  json["target_tokens"] = record.target_tokens;
  json["seconds"] = record.seconds;
  json["best"] = record.best;
  return json.dump();
}

MetricsLog::MetricsLog(const std::filesystem::path& path, std::int64_t keep_through_step)
    : file_(cut_back(path, keep_through_step), "output.dir") {}

void MetricsLog::append(const StepMetrics& metrics) { file_.append(to_json_line(metrics) + '\n'); }

void MetricsLog::append(const EvalRecord& record) { file_.append(to_json_line(record) + '\n'); }

void MetricsLog::sync() { file_.sync(); }

}  // namespace lora_dist
