// Compares the two ways to merge an adapter on given text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "src/comm/communicator.h"
#include "src/comm/process.h"
#include "src/commands/model_options.h"
#include "src/report/console.h"

namespace lora_dist {

/// The scores of one model on the text.
struct TextScore {
  std::string name;
  std::int64_t tokens = 0;  // number of scored tokens
  double perplexity = 0.0;
  std::vector<float> log_prob;  // of each scored token, in the order of the lines; on rank 0
};

/// Scores the lines of the file `text` with the model (and adapter) of `options`. Collective; only rank 0 has the result.
TextScore score_text(const std::string& name, const ModelOptions& options, const std::string& text, Communicator& world,
                     const ProcessInfo& process, const Console& console);

/// Mean and largest absolute difference of the tokens' log-probabilities.
struct LogProbDistance {
  double mean = 0.0;
  double largest = 0.0;
};
LogProbDistance distance_between(const TextScore& one, const TextScore& other);

}  // namespace lora_dist
