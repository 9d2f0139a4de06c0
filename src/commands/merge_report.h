// How the two ways to merge an adapter differ on given text.
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

/// One model on the given text.
struct TextScore {
  std::string name;
  std::int64_t tokens = 0;  // scored
  double perplexity = 0.0;
  std::vector<float> log_prob;  // of each scored token, in the order of the lines; on rank 0
};

/// Log-probabilities of the lines of the file `text` by the model (and adapter) of `options`. Collective; the result is rank 0's.
TextScore score_text(const std::string& name, const ModelOptions& options, const std::string& text, Communicator& world,
                     const ProcessInfo& process, const Console& console);

/// Mean and largest absolute difference of the tokens' log-probabilities.
struct LogProbDistance {
  double mean = 0.0;
  double largest = 0.0;
};
LogProbDistance distance_between(const TextScore& one, const TextScore& other);

}  // namespace lora_dist
