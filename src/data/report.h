// What loading found, for the user to read before training starts.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lora_dist {

struct FileReport {
  std::string path, container, kind, template_name;
  bool validation = false;
  std::int64_t rows = 0;
  std::int64_t truncated = 0;
  std::int64_t empty_answers = 0;                 // of samples, not trained
  std::map<std::string, std::int64_t> dropped{};  // reason to count
  std::vector<std::string> notes{};               // about the file as a whole
};

struct SetReport {
  std::int64_t samples = 0, tokens = 0, trained_tokens = 0;
  std::array<std::int64_t, 4> length_percentiles{};  // 50, 90, 99, 100 (nearest rank)
};

struct DatasetReport {
  std::vector<FileReport> files;
  SetReport train, validation;
  std::vector<std::string> notes;
  std::string template_day;               // that the chat template was told, where it asks
  std::vector<std::string> shown_sample;  // one sample, token by token with its label
};

/// Lines to print, without colour or line ends.
std::vector<std::string> render_report(const DatasetReport& report);

}  // namespace lora_dist
