// lora_dist score: log-probabilities of given texts or ids, one JSON line in, one out.
#include <cmath>
#include <numeric>

#include "src/comm/agree.h"
#include "src/commands/input_lines.h"
#include "src/commands/model_options.h"
#include "src/commands/option_values.h"
#include "src/core/error.h"
#include "src/data/sample.h"
#include "src/inference/output_lines.h"
#include "src/inference/token_scores.h"
#include "src/job/open_model.h"

namespace lora_dist {

namespace {

using nlohmann::json;

struct ScoreOptions {
  ModelOptions model;
  std::string input;
  std::string output;
};

void describe(CommandUse& use, ScoreOptions& options) {
  describe_model_options(use, options.model);
  use.options.add_options()                                                                                   //
      ("input", path_of(options.input, "F.jsonl"), "{\"id\", \"text\"} or {\"id\", \"input_ids\"} per line")  //
      ("output", path_of(options.output, "F.jsonl"),
       "{\"id\", \"input_ids\", \"logprobs\", \"argmax\", \"loss\", \"target_tokens\"} per line");
}

void check(const ScoreOptions& options) {
  check_needed("score", {{!options.model.model.empty(), "--model DIR"},
                         {!options.input.empty(), "--input FILE"},
                         {!options.output.empty(), "--output FILE"}});
  check_model_options(options.model);
}

json score_line(const ForwardContext& model, const InputLine& line) {
  const TokenScores scores = score_ids(model, line.ids, shifted(line.ids));
  const std::vector<std::int32_t> targets = shifted(line.labels);
  json logprobs = json::array({nullptr});
  double loss = 0.0;
  std::int64_t counted = 0;
  for (std::size_t i = 0; i + 1 < line.ids.size(); ++i) {
    logprobs.push_back(scores.log_prob[i]);
    loss -= targets[i] == line.ids[i + 1] ? static_cast<double>(scores.log_prob[i]) : 0.0;
    counted += targets[i] != kNotTrained ? 1 : 0;
  }
  return {{"id", line.id},
          {"input_ids", line.ids},
          {"logprobs", logprobs},
          {"argmax", scores.argmax},
          {"loss", counted > 0 ? json(loss / static_cast<double>(counted)) : json(nullptr)},
          {"target_tokens", counted}};
}

/// Labels that differ from the ids need one more forward pass over the line.
void add_foreign_labels(const ForwardContext& model, const InputLine& line, json& scored) {
  std::vector<std::int32_t> targets = shifted(line.labels);
  for (std::size_t i = 0; i + 1 < line.ids.size(); ++i) {
    targets[i] = targets[i] == line.ids[i + 1] ? kNotTrained : targets[i];
  }
  const TokenScores scores = score_ids(model, line.ids, targets);
  const double extra = -std::accumulate(scores.log_prob.begin(), scores.log_prob.end(), 0.0);
  if (const auto counted = scored["target_tokens"].get<double>(); counted > 0.0) {
    scored["loss"] = scored["loss"].get<double>() + extra / counted;
  }
}

bool has_foreign_labels(const InputLine& line) {
  for (std::size_t i = 1; i < line.ids.size(); ++i) {
    if (line.labels[i] != kNotTrained && line.labels[i] != line.ids[i]) {
      return true;
    }
  }
  return false;
}

/// Non-finite numbers become null in JSON; the first logprob is always null.
void check_finite(const json& scored) {
  if (scored.is_null()) {
    return;
  }
  for (std::size_t i = 1; i < scored["logprobs"].size(); ++i) {
    if (!std::isfinite(scored["logprobs"][i].get<double>())) {
      throw Error(ExitCode::non_finite,
                  fmt::format("the log-probabilities of line {} are not finite; the weights or the adapter are damaged",
                              scored["id"].dump(-1, ' ', true, json::error_handler_t::replace)));
    }
  }
}

/// This rank's line of a round; null: it only takes part in gathers.
json score_or_serve(const ForwardContext& model, const std::vector<InputLine>& lines, std::size_t index, bool second_pass) {
  json scored;
  if (index < lines.size()) {
    scored = score_line(model, lines[index]);
  } else {
    serve_token_scores(model);
  }
  if (second_pass && index < lines.size()) {
    add_foreign_labels(model, lines[index], scored);
  } else if (second_pass) {
    serve_token_scores(model);
  }
  return scored;
}

int run(Communicator& world, const ProcessInfo& process, const ScoreOptions& options) {
  const auto watchdog = watch_inference(world, process, options.model);
  const Console console{world.rank() == 0};
  Inference inference = open_for_inference(world, process, options.model, console);
  const OpenModel& model = *inference.model;
  std::vector<InputLine> lines;
  std::unique_ptr<OutputLines> output;
  run_together(world, [&] {
    lines = read_input_lines(options.input, {{"text"}}, model);
    const std::int64_t longest = longest_of(lines).tokens() + inference.adapter.layout.virtual_tokens.count;
    const std::string where = location_of(longest_of(lines), options.input);
    if (longest > model.spec.max_positions && (model.spec.learned_positions || model.spec.rope.type == "dynamic")) {
      throw Error(ExitCode::data, fmt::format("{}: the line has {} tokens, the model only {} positions; shorten it", where,
                                              longest, model.spec.max_positions));
    }
    if (longest > model.spec.max_positions) {
      console.warn(fmt::format("{}: the longest line has {} tokens, the model was made for {} positions", where, longest,
                               model.spec.max_positions));
    }
    make_inference_workspace(inference, longest, longest);
    if (world.rank() == 0) {
      output = std::make_unique<OutputLines>(options.output, options.input);
    }
  });
  const ForwardContext transformer = inference.transformer();
  const auto ranks = static_cast<std::size_t>(world.size());
  const bool foreign = std::any_of(lines.begin(), lines.end(), has_foreign_labels);
  for (std::size_t first = 0; first < lines.size(); first += ranks) {
    const json scored = score_or_serve(transformer, lines, first + static_cast<std::size_t>(world.rank()), foreign);
    run_together(world, [&] { check_finite(scored); });
    const std::string mine = scored.is_null() ? "" : scored.dump() + "\n";
    const std::vector<std::string> all = all_gather_strings(world, mine);
    run_together(world, [&] {
      for (std::size_t rank = 0; output && rank < all.size(); ++rank) {
        output->append(all[rank]);
      }
    });
  }
  run_together(world, [&] {
    if (output) {
      output->finish();
    }
  });
  console.line(fmt::format("scored {} lines; written to {}", lines.size(), options.output));
  return static_cast<int>(ExitCode::done);
}

}  // namespace

CommandUse score_command() { return make_use<ScoreOptions>(describe, check, run); }

}  // namespace lora_dist
