// What whole-program tests start from and look at: settings of a short training run, small data files, model folders with a
// fault, the files that a run leaves.
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

/// stories260K on rows of ids: ten steps of global batch 7 in passes of 2 with packing and dropout, NF4; a checkpoint every two
/// steps; no validation. A few tenths of a second.
Settings short_run(const std::filesystem::path& output);

/// `lora_dist [command] --set ...` with those settings on so many ranks.
Launch launch_of(const Settings& settings, int ranks, const std::string& command = "train");

/// The lines of a JSONL file; fails the test for a line that is not JSON.
std::vector<nlohmann::json> read_lines(const std::filesystem::path& file);
nlohmann::json read_json(const std::filesystem::path& file);
/// One member of each line.
std::vector<nlohmann::json> column(const std::vector<nlohmann::json>& lines, const std::string& key);

/// The table of memory that a run or a plan prints, its total included: kind to what stands behind it.
std::map<std::string, std::string> memory_rows(const std::string& out);

/// The steps of a metrics.jsonl must be 1 to `last`, each once and in order.
void expect_steps(const std::filesystem::path& output, std::int64_t last);

/// Losses and gradient norms of metrics.jsonl, and the adapter file: equal to the bit.
void expect_same_training(const std::filesystem::path& output, const std::filesystem::path& reference);

/// The rows of ids in the golden.json of a folder, as a file to train on or to score.
std::filesystem::path put_golden_rows(const Scratch& scratch, const std::string& folder);

/// What `score` writes for the lines of `input`; `model`: --model and further options.
std::vector<nlohmann::json> scores_of(const std::vector<std::string>& model, const std::filesystem::path& input,
                                      const std::filesystem::path& output);
/// Between the log-probabilities of two such files.
double largest_change(const std::vector<nlohmann::json>& one, const std::vector<nlohmann::json>& other);

/// A copy of stories260K that may be spoilt. The files are copies, not links.
std::filesystem::path copy_of_model(const std::filesystem::path& folder);

/// Changes one bit of a file, at `part` (0 to 1) of its length.
void flip_bit(const std::filesystem::path& file, double part);
/// Cuts a file to `part` of its length.
void truncate_file(const std::filesystem::path& file, double part);
/// A safetensors file of any header, right or wrong; `length`: what its first eight bytes claim (-1: the truth).
void put_safetensors(const std::filesystem::path& file, const std::string& header, std::size_t data_bytes, std::uint64_t length);
/// Where a tensor's bytes lie in a safetensors file.
std::size_t offset_of_tensor(const std::filesystem::path& file, const std::string& name);
void put_bytes_at(const std::filesystem::path& file, std::size_t offset, const std::string& bytes);

/// Names of the checkpoints of a run, oldest first.
std::vector<std::string> checkpoints_of(const std::filesystem::path& output);
/// Every file below a folder with its SHA-256.
std::map<std::string, std::string> digests_below(const std::filesystem::path& folder);

}  // namespace lora_dist::program
