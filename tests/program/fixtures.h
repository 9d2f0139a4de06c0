// Fixtures of whole-program tests: settings of a short training run, small data files, damaged model folders, and readers of a
// run's files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/program/run_program.h"
#include "tests/support/scratch.h"

namespace lora_dist::program {

/// Key to value, as after --set.
using Settings = std::map<std::string, std::string>;

/// A file of the repository: "demo/model".
std::filesystem::path source(const std::string& path);

/// ["a", "b"] as TOML.
std::string toml_list(const std::vector<std::filesystem::path>& files);

/// stories260K on rows of ids: ten steps of global batch 7 with micro-batches of 2, packing and dropout, NF4; a checkpoint every
/// two steps; no validation. Takes a few tenths of a second.
Settings short_run(const std::filesystem::path& output);

/// `lora_dist [command] --set ...` with those settings on that many ranks.
Launch launch_of(const Settings& settings, int ranks, const std::string& command = "train");

/// The lines of a JSONL file; fails the test for a line that is not JSON.
std::vector<nlohmann::json> read_lines(const std::filesystem::path& file);
nlohmann::json read_json(const std::filesystem::path& file);
/// One member of each line.
std::vector<nlohmann::json> column(const std::vector<nlohmann::json>& lines, const std::string& key);

/// The memory table that a run or a plan prints, with its total: kind to value.
std::map<std::string, std::string> memory_rows(const std::string& out);

/// Requires the steps 1 to `last` in metrics.jsonl, each once and in order.
void expect_steps(const std::filesystem::path& output, std::int64_t last);

/// Requires losses and gradient norms of metrics.jsonl, and the adapter file, to be equal to the bit.
void expect_same_training(const std::filesystem::path& output, const std::filesystem::path& reference);

/// The rows of ids in the golden.json of a folder, as a file to train on or to score.
std::filesystem::path put_golden_rows(const Scratch& scratch, const std::string& folder);

/// The output of `score` for the lines of `input`; `model`: --model and further options.
std::vector<nlohmann::json> scores_of(const std::vector<std::string>& model, const std::filesystem::path& input,
                                      const std::filesystem::path& output);
/// Between the log-probabilities of two such files.
double largest_change(const std::vector<nlohmann::json>& one, const std::vector<nlohmann::json>& other);

/// A modifiable copy of stories260K, without links.
std::filesystem::path copy_of_model(const std::filesystem::path& folder);

/// Changes one bit of a file, at `part` (0 to 1) of its length.
void flip_bit(const std::filesystem::path& file, double part);
/// Cuts a file to `part` of its length.
void truncate_file(const std::filesystem::path& file, double part);
/// A safetensors file with any header; `length`: the value of its first eight bytes (-1: the right one).
void put_safetensors(const std::filesystem::path& file, const std::string& header, std::size_t data_bytes, std::uint64_t length);
/// The range of a tensor's bytes in a safetensors file.
std::size_t offset_of_tensor(const std::filesystem::path& file, const std::string& name);
void put_bytes_at(const std::filesystem::path& file, std::size_t offset, const std::string& bytes);

/// Names of the checkpoints of a run, oldest first.
std::vector<std::string> checkpoints_of(const std::filesystem::path& output);
/// Every file below a folder with its SHA-256.
std::map<std::string, std::string> digests_below(const std::filesystem::path& folder);

}  // namespace lora_dist::program
