// Runs of adapter methods against the goldens of tests/golden/methods.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/program/family_runs.h"

namespace lora_dist::program {

struct MethodCase {
  const char* method;
  const char* base;
};

inline std::string name_of(const MethodCase& c) { return std::string(c.method) + "_" + c.base; }
inline std::filesystem::path golden_folder(const MethodCase& c) { return source("tests/golden/methods") / name_of(c); }
inline std::filesystem::path base_folder(const MethodCase& c) { return source("tests/golden/families") / c.base; }

inline Settings settings_of(const MethodCase& c, const std::string& quantization, const std::filesystem::path& rows,
                            const std::filesystem::path& output) {
  Settings settings = steps_of(base_folder(c), quantization, rows, output);
  settings["adapter.init_from"] = (golden_folder(c) / ("init_" + quantization)).string();
  const nlohmann::json golden = read_json(golden_folder(c) / "golden.json");
  for (const auto& [key, value] : golden["settings"].items()) {
    settings[key] = value.get<std::string>();
  }
  return settings;
}

inline std::filesystem::path score_rows(const MethodCase& c, const std::filesystem::path& file) {
  std::string lines;
  const nlohmann::json golden = read_json(base_folder(c) / "golden.json");
  for (const nlohmann::json& row : golden["rows"]) {
    lines += nlohmann::json{{"id", 0}, {"input_ids", row}}.dump() + "\n";
  }
  put_file(file, lines);
  return file;
}

/// The largest difference of a log-probability in lines of `score` from the golden's.
inline double distance_of_rows(const std::vector<nlohmann::json>& rows, const nlohmann::json& expected) {
  EXPECT_EQ(rows.size(), expected.size());
  double worst = 0.0;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const nlohmann::json& ours = rows[row]["logprobs"];  // the first is null
    EXPECT_EQ(ours.size(), expected[row].size() + 1);
    for (std::size_t i = 0; i < expected[row].size(); ++i) {
      worst = std::max(worst, std::fabs(ours[i + 1].get<double>() - expected[row][i].get<double>()));
    }
  }
  return worst;
}

/// The same of the base's rows.
inline double score_difference(const MethodCase& c, const std::vector<std::string>& options, const nlohmann::json& expected) {
  const Scratch scratch;
  Launch launch;
  launch.ranks = 1;
  launch.arguments = {"score", "--input", score_rows(c, scratch / "rows.jsonl").string(), "--output", (scratch / "out").string()};
  launch.arguments.insert(launch.arguments.end(), options.begin(), options.end());
  expect_success(launch);
  return distance_of_rows(read_lines(scratch / "out"), expected);
}

}  // namespace lora_dist::program
