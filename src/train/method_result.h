// What a comparison of adapter methods reports of each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/train/training_run.h"

namespace lora_dist {

/// A finished run of one method.
struct MethodResult {
  std::string method;            // its word
  std::filesystem::path folder;  // of its run
  std::string base;              // the base's format in words
  std::int64_t trained = 0;      // parameters
  std::int64_t all = 0;          // parameters, those of the base included
  std::int64_t rank_bytes = 0;   // of all buffers of the largest rank: base, adapter, optimizer, activations and scratch
  std::int64_t steps = 0;
  double seconds = 0.0;               // of all steps
  double tokens_per_second = 0.0;     // in them
  double learning_rate = 0.0;         // the schedule's peak
  std::optional<double> loss_before;  // on the validation data; empty: there is none
  std::optional<double> loss_after;
  std::int64_t adapter_bytes = 0;  // of its tensors' file
};

/// Reads a finished run's files on rank 0; the other ranks get only the counts and memory. Collective; throws Error(model), the
/// same on every rank.
MethodResult result_of(const TrainingRun& run);

/// The results as compare.json holds them.
nlohmann::json json_of(std::span<const MethodResult> results);

/// A table, a method per line, without a line feed at its end.
std::string table_of(std::span<const MethodResult> results);

}  // namespace lora_dist
