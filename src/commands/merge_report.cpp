// Opens a model and scores a text file.
#include "src/commands/merge_report.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "src/comm/agree.h"
#include "src/commands/input_lines.h"
#include "src/core/error.h"
#include "src/data/sample.h"
#include "src/inference/token_scores.h"

namespace lora_dist {

namespace {

/// The log-probabilities of a line's counted labels, as bytes for a gather.
std::string counted_log_probs(const ForwardContext& model, const InputLine& line) {
  const std::vector<std::int32_t> targets = shifted(line.labels);
  const TokenScores scores = score_ids(model, line.ids, targets);
  std::string bytes;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (targets[i] != kNotTrained) {
      bytes.append(reinterpret_cast<const char*>(&scores.log_prob[i]), sizeof(float));
    }
  }
  return bytes;
}

void append_floats(const std::string& bytes, std::vector<float>& values) {
  const std::size_t before = values.size();
  values.resize(before + bytes.size() / sizeof(float));
  if (!bytes.empty()) {
    std::memcpy(values.data() + before, bytes.data(), bytes.size());
  }
}

}  // namespace

TextScore score_text(const std::string& name, const ModelOptions& options, const std::string& text, Communicator& world,
                     const ProcessInfo& process, const Console& console) {
  Inference inference = open_for_inference(world, process, options, console);
  std::vector<InputLine> lines;
  run_together(world, [&] {
    lines = read_input_lines(text, {{"text"}}, *inference.model);
    const std::int64_t longest = longest_of(lines).tokens();
    make_inference_workspace(inference, longest, longest);
  });
  const ForwardContext transformer = inference.transformer();
  TextScore score;
  score.name = name;
  const auto ranks = static_cast<std::size_t>(world.size());
  for (std::size_t first = 0; first < lines.size(); first += ranks) {
    const std::size_t index = first + static_cast<std::size_t>(world.rank());
    std::string mine;
    if (index < lines.size()) {
      mine = counted_log_probs(transformer, lines[index]);
    } else {
      serve_token_scores(transformer);
    }
    for (const std::string& part : all_gather_strings(world, mine)) {
      append_floats(part, score.log_prob);
    }
  }
  double sum = 0.0;
  for (const float log_prob : score.log_prob) {
    sum += static_cast<double>(log_prob);
  }
  score.tokens = static_cast<std::int64_t>(score.log_prob.size());
  score.perplexity = std::exp(-sum / static_cast<double>(std::max<std::int64_t>(1, score.tokens)));
  if (!std::isfinite(sum)) {
    throw Error(ExitCode::non_finite,
                fmt::format("the log-probabilities of {} are not finite; the weights or the adapter are damaged", name),
                ErrorScope::collective);
  }
  return score;
}

LogProbDistance distance_between(const TextScore& one, const TextScore& other) {
  LogProbDistance distance;
  for (std::size_t i = 0; i < one.log_prob.size() && i < other.log_prob.size(); ++i) {
    const double difference = std::abs(static_cast<double>(one.log_prob[i]) - static_cast<double>(other.log_prob[i]));
    distance.mean += difference / static_cast<double>(one.log_prob.size());
    distance.largest = std::max(distance.largest, difference);
  }
  return distance;
}

}  // namespace lora_dist
