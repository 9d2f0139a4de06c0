// Prints the end of a run.
#include "src/train/summary.h"

#include <algorithm>

#include "src/comm/agree.h"
#include "src/core/activity.h"
#include "src/core/fault_point.h"
#include "src/core/stop_request.h"
#include "src/data/chat_sample.h"
#include "src/inference/sampling_config.h"
#include "src/train/run_watch.h"
#include "src/train/save_result.h"
#include "src/train/saving.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kAnswerTokens = 96;

/// The tokens before the first trained one: the question as the model sees it.
std::span<const std::int32_t> prompt_of(const Sample& sample) {
  const auto first =
      std::find_if(sample.labels.begin(), sample.labels.end(), [](std::int32_t label) { return label != kNotTrained; });
  return std::span(sample.input_ids).first(static_cast<std::size_t>(first - sample.labels.begin()));
}

/// How answers are generated: like `generate` for this folder; also the end of a turn in the chat template ends an answer.
struct AnswerSettings {
  SamplingOptions options;
  std::vector<std::int64_t> stop;
};

AnswerSettings answer_settings_of(const TrainingRun& run) {
  AnswerSettings out;
  run_together(*run.world, [&] {
    apply_generation_config(run.generation, {}, out.options);
    out.options.max_new_tokens = kAnswerTokens;
    out.options.seed = static_cast<std::uint64_t>(run.config.train.seed);
    out.stop = stop_ids_of(*run.model, run.generation);
    const bool has_turns = std::ranges::any_of(run.dataset.report.files, [](const FileReport& file) {
      return std::ranges::any_of(file.templates, [](const auto& of_kind) { return of_kind.second == "tokenizer"; });
    });
    const Tokenizer& tokenizer = *run.model->tokenizer;
    if (const auto end = has_turns ? end_of_turn(require_chat_template(tokenizer), tokenizer) : std::nullopt) {
      out.stop.push_back(*end);
    }
  });
  return out;
}

std::string answer(const TrainingRun& run, const ForwardContext& model, const AnswerSettings& how,
                   std::span<const std::int32_t> prompt, KvCache& cache) {
  const auto look_for_stop = [&](std::int32_t) {
    fault_point("answer");
    if (stop_agreed(*run.world)) {
      throw Error(ExitCode::stopped, stopped_on_request(), ErrorScope::collective);
    }
  };
  const std::vector<std::int32_t> ids = generate(model, prompt, cache, how.options, how.stop, *run.world, look_for_stop);
  return decode(*run.model->tokenizer, ids, true);
}

void show_answer(const TrainingRun& run, const AnswerSettings& how, const Sample& sample) {
  const std::span<const std::int32_t> prompt = prompt_of(sample);
  if (prompt.empty() || static_cast<std::int64_t>(prompt.size()) >= run.workspace.rope_positions) {
    return;  // plain text has no question
  }
  Arena arena(run.model->stream);
  KvCache cache = make_kv_cache(run.model->base.spec, run.workspace.rope_positions, arena, run.model->compute_dtype);
  const std::string base =  // training the base leaves no other to ask
      run.trained ? "" : fmt::format("\nbase      | {}", answer(run, run.base(), how, prompt, cache));
  const std::string tuned = answer(run, run.tuned(), how, prompt, cache);
  const Tokenizer& tokenizer = *run.model->tokenizer;
  const std::span<const std::int32_t> expected = std::span(sample.input_ids).subspan(prompt.size());
  run.console.line(fmt::format("\nprompt    | {}{}\ntuned     | {}\nreference | {}", decode(tokenizer, prompt, true), base, tuned,
                               decode(tokenizer, expected, true)));
}

/// Answers as many questions as configured; none after a stop request, since the run is complete and saved.
void show_answers(const TrainingRun& run) {
  const AtWork here("answering questions");
  const std::size_t questions = run.model->tokenizer && run.config.output.show_text
                                    ? static_cast<std::size_t>(std::max(1, run.config.eval.generate_samples))
                                    : 0;
  const std::size_t count = std::min(questions, run.dataset.validation.size());
  if (count == 0) {
    return;
  }
  try {
    const AnswerSettings how = answer_settings_of(run);
    if (const std::string sampling = describe_sampling(how.options); !sampling.empty()) {
      run.console.line(fmt::format("answers    {} ({})", sampling, run.generation.file));
    }
    for (std::size_t i = 0; i < count; ++i) {
      show_answer(run, how, run.dataset.validation[i]);
    }
  } catch (const Error& error) {
    if (error.code() != ExitCode::stopped) {
      throw;
    }
    run.console.line(fmt::format("{}: the run is complete and saved; answers are left out", error.what()));
  }
}

}  // namespace

namespace {

/// True if a new adapter of this run changes nothing.
bool starts_as_base(const TrainingRun& run) {
  const std::vector<Method> methods = run.config.adapter.method.all();
  return run.layout.init != LoraInit::loftq &&
         std::ranges::all_of(methods, [](Method method) { return method_of(method).starts_as_base; });
}

}  // namespace

void show_summary(const TrainingRun& run, const RunProgress& progress, const Saving& saving, std::int64_t total_steps) {
  const Console& console = run.console;
  if (progress.step < total_steps) {
    console.line(
        fmt::format("stopped early at step {}: no better evaluation since step {}", progress.step, progress.best.best_step));
  }
  if (const std::optional<double> hidden = run.waits.hidden()) {
    console.line(fmt::format("gathers    {:.1f} % of the {:.3g} s of gathering the base were hidden behind computing",
                             100.0 * *hidden, run.waits.gathers));
  }
  console.line(fmt::format("checkpoints {}", describe(saving)));
  if (progress.base && progress.last) {
    console.line("\nvalidation        loss   perplexity");
    console.line(fmt::format("{}{:9.4f}    {:9.3f}", starts_as_base(run) ? "base         " : "start        ", progress.base->loss,
                             progress.base->perplexity));
    console.line(fmt::format("tuned        {:9.4f}    {:9.3f}", progress.last->loss, progress.last->perplexity));
  }
  show_answers(run);
  console.line(fmt::format("\n{} in {}", run.trained ? "model (Hugging Face)" : "adapter (PEFT)",
                           result_folder(run, ResultOf::last).string()));
  if (progress.best.best_step > 0) {
    console.line(fmt::format("best {} ({} {:.4f} at step {}) in {}", run.trained ? "model" : "adapter",
                             word_of(kMetrics, run.config.eval.best_metric), progress.best.best, progress.best.best_step,
                             result_folder(run, ResultOf::best).string()));
  }
}

}  // namespace lora_dist
