// Makes the folders and files of whole-program tests.
#include "tests/program/fixtures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>

#include "src/adapter/peft_adapter.h"
#include "src/io/safetensors.h"
#include "src/io/sha256.h"

namespace lora_dist::program {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path source(const std::string& path) { return fs::path(LORA_DIST_SOURCE_DIR) / path; }

std::string toml_list(const std::vector<fs::path>& files) {
  json list = json::array();
  for (const fs::path& file : files) {
    list.push_back(file.string());
  }
  return list.dump();
}

Settings short_run(const fs::path& output) {
  return {{"model.path", source("demo/model").string()},
          {"model.quantization", "nf4"},
          {"adapter.r", "4"},
          {"adapter.alpha", "8"},
          {"adapter.dropout", "0.1"},
          {"adapter.target_modules", "all-linear"},
          {"data.train", toml_list({source("tests/golden/lora_steps/train.jsonl")})},
          {"data.validation_split", "0"},
          {"data.max_length", "128"},
          {"train.max_steps", "10"},
          {"train.global_batch", "7"},
          {"train.micro_batch", "2"},
          {"train.learning_rate", "1e-3"},
          {"checkpoint.every", "2"},
          {"output.dir", output.string()}};
}

Launch launch_of(const Settings& settings, int ranks, const std::string& command) {
  Launch launch;
  launch.ranks = ranks;
  launch.arguments = {command};
  for (const auto& [key, value] : settings) {
    launch.arguments.emplace_back("--set");
    launch.arguments.push_back(key + "=" + value);
  }
  return launch;
}

std::vector<json> read_lines(const fs::path& file) {
  std::vector<json> lines;
  std::istringstream text(get_file(file));
  for (std::string line; std::getline(text, line);) {
    lines.push_back(json::parse(line, nullptr, false));
    EXPECT_TRUE(lines.back().is_object()) << file << ": " << line;
  }
  return lines;
}

json read_json(const fs::path& file) {
  json content = json::parse(get_file(file), nullptr, false);
  EXPECT_FALSE(content.is_discarded()) << file;
  return content;
}

std::vector<json> column(const std::vector<json>& lines, const std::string& key) {
  std::vector<json> values;
  for (const json& line : lines) {
    values.push_back(line.value(key, json()));
  }
  return values;
}

std::map<std::string, std::string> memory_rows(const std::string& out) {
  constexpr std::size_t kName = 22;  // columns
  std::map<std::string, std::string> rows;
  const std::size_t table = ("\n" + out).find("\nmemory ");  // at the beginning of a line: other lines mention memory, too
  std::istringstream lines(out.substr(std::min(table, out.size())));
  for (std::string line; !rows.contains("total") && std::getline(lines, line);) {
    if (line.starts_with("  ") && line.size() > kName) {
      const std::string name = line.substr(2, kName - 2);
      rows[name.substr(0, name.find_last_not_of(' ') + 1)] = line.substr(kName);
    }
  }
  EXPECT_TRUE(rows.contains("total")) << "no table of memory in: " << out;
  return rows;
}

void expect_steps(const fs::path& output, std::int64_t last) {
  std::vector<json> expected;
  for (std::int64_t step = 1; step <= last; ++step) {
    expected.emplace_back(step);
  }
  EXPECT_EQ(column(read_lines(output / "metrics.jsonl"), "step"), expected) << output;
}

void expect_same_training(const fs::path& output, const fs::path& reference) {
  const std::vector<json> ours = read_lines(output / "metrics.jsonl");
  const std::vector<json> theirs = read_lines(reference / "metrics.jsonl");
  for (const char* key : {"step", "loss", "grad_norm", "learning_rate", "tokens", "target_tokens"}) {
    EXPECT_EQ(column(ours, key), column(theirs, key)) << key << " of " << output;
  }
  const std::string adapter = get_file(tensors_file(reference / "adapter"));
  EXPECT_FALSE(adapter.empty());
  EXPECT_TRUE(get_file(tensors_file(output / "adapter")) == adapter) << "the adapter of " << output << " differs";
}

fs::path put_golden_rows(const Scratch& scratch, const std::string& folder) {
  std::string lines;
  const json golden = read_json(source(folder) / "golden.json");
  for (const json& row : golden["rows"]) {
    lines += json({{"input_ids", row}}).dump() + "\n";
  }
  return scratch.write("rows.jsonl", lines);
}

std::vector<json> scores_of(const std::vector<std::string>& model, const fs::path& input, const fs::path& output) {
  Launch launch;
  launch.arguments = {"score", "--input", input.string(), "--output", output.string()};
  launch.arguments.insert(launch.arguments.end(), model.begin(), model.end());
  expect_success(launch);
  return read_lines(output);
}

double largest_change(const std::vector<json>& one, const std::vector<json>& other) {
  EXPECT_EQ(one.size(), other.size());
  double largest = 0.0;
  for (std::size_t line = 0; line < std::min(one.size(), other.size()); ++line) {
    for (std::size_t i = 1; i < one[line]["logprobs"].size(); ++i) {
      largest = std::max(largest, std::fabs(one[line]["logprobs"][i].get<double>() - other[line]["logprobs"][i].get<double>()));
    }
  }
  return largest;
}

fs::path copy_of_model(const fs::path& folder) {
  fs::create_directories(folder);
  for (const auto& entry : fs::directory_iterator(source("demo/model"))) {
    fs::copy_file(entry.path(), folder / entry.path().filename(), fs::copy_options::overwrite_existing);
    fs::permissions(folder / entry.path().filename(), fs::perms::owner_write, fs::perm_options::add);
  }
  return folder;
}

void flip_bit(const fs::path& file, double part) {
  std::string content = get_file(file);
  ASSERT_FALSE(content.empty()) << file;
  const auto at = std::min(content.size() - 1, static_cast<std::size_t>(part * static_cast<double>(content.size())));
  content[at] = static_cast<char>(content[at] ^ 0x10);
  put_file(file, content);
}

void truncate_file(const fs::path& file, double part) {
  fs::resize_file(file, static_cast<std::uintmax_t>(part * static_cast<double>(fs::file_size(file))));
}

void put_safetensors(const fs::path& file, const std::string& header, std::size_t data_bytes, std::uint64_t length) {
  std::string content(sizeof length, '\0');
  std::memcpy(content.data(), &length, sizeof length);
  put_file(file, content + header + std::string(data_bytes, '\0'));
}

std::size_t offset_of_tensor(const fs::path& file, const std::string& name) {
  return static_cast<std::size_t>(read_safetensors_header(file).tensors.at(name).offset);
}

void put_bytes_at(const fs::path& file, std::size_t offset, const std::string& bytes) {
  std::string content = get_file(file);
  ASSERT_LE(offset + bytes.size(), content.size());
  content.replace(offset, bytes.size(), bytes);
  put_file(file, content);
}

std::vector<std::string> checkpoints_of(const fs::path& output) {
  std::vector<std::string> names;
  if (fs::exists(output / "checkpoints")) {
    for (const auto& entry : fs::directory_iterator(output / "checkpoints")) {
      if (entry.path().filename().string().starts_with("step_")) {
        names.push_back(entry.path().filename().string());
      }
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::map<std::string, std::string> digests_below(const fs::path& folder) {
  std::map<std::string, std::string> digests;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) {
      digests[fs::relative(entry.path(), folder).string()] = sha256_of_file(entry.path());
    }
  }
  return digests;
}

}  // namespace lora_dist::program
