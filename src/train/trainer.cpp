// The loop over steps, with evaluations, checkpoints and logs.
#include "src/train/trainer.h"

#include <array>
#include <cmath>
#include <memory>
#include <optional>

#include "src/comm/agree.h"
#include "src/config/print_config.h"
#include "src/core/activity.h"
#include "src/core/stop_request.h"
#include "src/data/sampler.h"
#include "src/io/file.h"
#include "src/train/compare_replicas.h"
#include "src/train/initial_adapter.h"
#include "src/train/resume.h"
#include "src/train/run_watch.h"
#include "src/train/save_result.h"
#include "src/train/summary.h"
#include "src/train/training_loop.h"

namespace lora_dist {

namespace {

StepPlan plan_of(const TrainingRun& run) {
  const TrainConfig& train = run.config.train;
  StepPlan plan;
  plan.steps_per_epoch = steps_per_epoch(static_cast<std::int64_t>(run.train.size()), train.global_batch);
  plan.total_steps = train.max_steps > 0
                         ? train.max_steps
                         : static_cast<std::int64_t>(std::ceil(train.epochs * static_cast<double>(plan.steps_per_epoch)));
  plan.warmup = warmup_steps(train.warmup_ratio, plan.total_steps);
  plan.schedule = train.schedule;
  return plan;
}

/// Throws Error(usage) if AdaLoRA's schedule leaves no step to take ranks in.
void check_budget_fits(const TrainingRun& run, const StepPlan& plan) {
  const AdaLoraOptions& options = run.config.adapter.adalora;
  if (run.layout.method->step != nullptr && options.tinit >= plan.total_steps - options.tfinal) {
    throw Error(ExitCode::usage,
                fmt::format("adapter.adalora.tinit ({}) and adapter.adalora.tfinal ({}) leave none of the {} steps to take ranks "
                            "in; lower them, or train for more steps (train.max_steps, train.epochs)",
                            options.tinit, options.tfinal, plan.total_steps),
                ErrorScope::collective);
  }
}

/// Only for runs of at most 1,000 steps, of which the warm-up can take a large share.
void warn_of_idle_steps(const TrainingRun& run, const StepPlan& plan) {
  constexpr std::int64_t kFewSteps = 1000;
  if (run.config.train.learning_rate == 0.0) {
    run.console.warn("train.learning_rate is 0: nothing will be learnt");
    return;
  }
  const std::int64_t idle =
      plan.total_steps > kFewSteps ? 0 : idle_steps(plan.total_steps, plan.warmup, run.config.train.learning_rate, plan.schedule);
  if (4 * idle >= plan.total_steps && plan.warmup > 0) {
    run.console.warn(
        fmt::format("{} of {} training step{} learning rate 0 or nearly so, since the warm-up takes {}{}; set "
                    "train.warmup_ratio = 0, or train for more steps",
                    idle, plan.total_steps, plan.total_steps == 1 ? " has" : "s have", plan.warmup,
                    idle == plan.total_steps ? ": nothing will be learnt" : ""));
  }
}

/// Empty after a stop request during the evaluation.
std::optional<Evaluation> evaluate_unless_stopped(const TrainingRun& run) {
  const AtWork here("evaluation");
  const auto look_for_stop = [&](std::int64_t done, std::int64_t all) {
    if (done < all && stop_agreed(*run.world)) {
      throw Error(ExitCode::stopped, stopped_on_request(), ErrorScope::collective);
    }
  };
  try {
    return evaluate(run.tuned(), *run.mesh.data_group, run.validation, run.dataset.validation, run.config.train.micro_batch,
                    look_for_stop);
  } catch (const Error& error) {
    if (error.code() != ExitCode::stopped) {
      throw;
    }
    return std::nullopt;
  }
}

/// Evaluates the validation data and records the result; saves the best adapter so far. False if a stop request came first.
bool do_evaluation(TrainingLoop& loop) {
  TrainingRun& run = loop.run;
  const std::optional<Evaluation> found = evaluate_unless_stopped(run);
  if (!found) {
    return false;
  }
  const Evaluation& evaluation = *found;
  loop.progress.evaluation_due = false;
  const double value = run.config.eval.best_metric == Metric::perplexity ? evaluation.perplexity : evaluation.loss;
  const bool before_training = loop.progress.step == 0;
  if (before_training) {
    loop.progress.base = evaluation;
  }
  loop.progress.last = evaluation;
  const bool best = observe(loop.progress.best, loop.progress.step, value);
  loop.on_rank_0([&] {
    loop.logs->add(EvalRecord{loop.progress.step, loop.epoch(), evaluation.loss, evaluation.perplexity, evaluation.samples,
                              evaluation.target_tokens, evaluation.seconds, best});
    loop.line.end_line();
    run.console.line(
        fmt::format("evaluation at step {}: loss {:.4f}, perplexity {:.3f} over {} samples ({} target tokens), {:.1f} s{}",
                    loop.progress.step, evaluation.loss, evaluation.perplexity, evaluation.samples, evaluation.target_tokens,
                    evaluation.seconds,
                    before_training ? " (before training)"
                    : best          ? " (best so far)"
                                    : ""));
  });
  if (best && !before_training) {
    save_result(run, loop.progress.step, ResultOf::best);
  }
  return true;
}

/// True if no step is left.
bool is_complete(const TrainingLoop& loop) {
  return loop.progress.step >= loop.plan.total_steps ||
         should_stop(loop.progress.best, loop.run.config.train.early_stopping_patience);
}

bool checkpoint_is_due(const TrainingLoop& loop) {
  const std::int64_t every = loop.run.config.checkpoint.every;
  return every > 0 && loop.progress.step % every == 0;
}

bool evaluation_is_due(const TrainingLoop& loop) {
  const std::int64_t step = loop.progress.step;
  const std::int64_t every = loop.run.config.eval.every > 0 ? loop.run.config.eval.every : loop.plan.steps_per_epoch;
  return !loop.run.validation.empty() && (step % every == 0 || step == loop.plan.total_steps);
}

/// True if the ranks' adapters must be compared after this step: every verify_replicas_every steps, and before they are saved.
bool comparison_is_due(const TrainingLoop& loop, bool stop) {
  const std::int64_t every = loop.run.config.parallel.verify_replicas_every;
  return every > 0 && loop.run.world->size() > 1 &&
         (stop || loop.progress.step % every == 0 || checkpoint_is_due(loop) || is_complete(loop));
}

/// False if ranks differed and all returned to the last checkpoint. Throws Error(communication, collective) the second time, or
/// without a checkpoint.
bool replicas_agree(TrainingLoop& loop) {
  TrainingRun& run = loop.run;
  const std::string difference = replica_difference(run);
  if (difference.empty()) {
    return true;
  }
  const std::string what =
      fmt::format("after step {} {}: memory, a GPU or the network gave wrong bits", loop.progress.step, difference);
  const std::string advice =
      "Leave that rank's node out (srun --exclude), then run the same command again to go on from the last "
      "checkpoint; none of the wrong bits is in it";
  if (loop.went_back) {
    throw Error(ExitCode::communication, what + fmt::format(", again. {}", advice), ErrorScope::collective);
  }
  loop.line.end_line();
  run.console.warn(what + "; going back to the last checkpoint, once");
  finish_save(run, loop.saving);
  const std::optional<RunProgress> progress = go_back(run);
  if (!progress) {
    throw Error(ExitCode::communication, what + fmt::format(", and there is no checkpoint yet to go back to. {}", advice),
                ErrorScope::collective);
  }
  loop.went_back = true;
  loop.progress = *progress;
  loop.order_epoch = -1;
  loop.trend = {};
  loop.on_rank_0([&] {
    loop.logs.reset();
    loop.logs = std::make_unique<RunLogs>(run.output, run.config.output.tensorboard, loop.progress.step);
  });
  return false;
}

/// Flushes the logs to the disk before the checkpoint is committed.
void do_save(TrainingLoop& loop) {
  const AtWork here("saving a checkpoint");
  loop.line.end_line();
  loop.on_rank_0([&] { loop.logs->sync(); });
  begin_save(loop.run, loop.progress, loop.saving);
}

void start_output(TrainingLoop& loop, bool resumed) {
  TrainingRun& run = loop.run;
  run_together(*run.world, [&] {
    if (run.world->rank() == 0) {
      set_aside_later_checkpoints(run, loop.progress.step);
      write_file_atomically(run.output / "config.resolved.toml", print_config(run.config), ExitCode::usage);
      loop.logs = std::make_unique<RunLogs>(run.output, run.config.output.tensorboard, resumed ? loop.progress.step : -1);
    }
  });
}

/// Call after begin_save() of this step.
ExitCode stop_saved(TrainingLoop& loop) {
  finish_save(loop.run, loop.saving);
  save_result(loop.run, loop.progress.step, ResultOf::last);
  const std::string reason = stop_reason();
  loop.run.console.line(
      fmt::format("stopped on request at step {} of {}{}; the checkpoint is saved, run the same command to go on",
                  loop.progress.step, loop.plan.total_steps, reason.empty() ? "" : " (" + reason + ")"));
  return ExitCode::stopped;
}

/// An aborted step leaves no state.
ExitCode stop_before_step(TrainingLoop& loop) {
  if (loop.progress.step == 0) {
    throw Error(ExitCode::stopped, nothing_trained_sentence(), ErrorScope::collective);
  }
  do_save(loop);
  return stop_saved(loop);
}

/// Steps until the end; returns stopped after a stop request. Does not wait for the last checkpoint's end.
ExitCode do_steps(TrainingLoop& loop) {
  while (loop.progress.evaluation_due || !is_complete(loop)) {
    bool stop = false;
    if (!loop.progress.evaluation_due) {
      const StepEnd end = do_step(loop);
      if (end == StepEnd::aborted) {
        return stop_before_step(loop);
      }
      stop = end == StepEnd::stop_asked;
      if (loop.save_waits) {
        proceed_with_save(loop.run, loop.saving);
      }
      if (comparison_is_due(loop, stop) && !replicas_agree(loop)) {
        continue;
      }
      loop.progress.evaluation_due = evaluation_is_due(loop);
    }
    stop = stop || (loop.progress.evaluation_due && !do_evaluation(loop));
    if (is_complete(loop) && !loop.progress.evaluation_due) {
      save_result(loop.run, loop.progress.step, ResultOf::last);  // before the checkpoint that marks the run complete
      do_save(loop);
    } else if (stop || checkpoint_is_due(loop)) {
      do_save(loop);
      if (stop || stop_agreed(*loop.run.world)) {
        return stop_saved(loop);
      }
    }
  }
  return ExitCode::done;
}

/// The same, and completes the checkpoint in progress. If that failed, its error came first and replaces the steps' error.
ExitCode do_steps_and_saves(TrainingLoop& loop) {
  ExitCode code = ExitCode::done;
  try {
    code = do_steps(loop);
  } catch (const Error& error) {
    if (error.scope() == ErrorScope::collective) {
      finish_save(loop.run, loop.saving);
    }
    throw;
  }
  finish_save(loop.run, loop.saving);
  return code;
}

/// Resumes and trains to the end.
ExitCode resume_and_train(TrainingRun& run) {
  const StepPlan plan = plan_of(run);
  check_budget_fits(run, plan);
  run.peft.total_steps = plan.total_steps;
  const bool live = run.console.speaks && is_live_terminal(stdout);
  TrainingLoop loop{
      run, plan, {}, nullptr, ProgressLine(stdout, live, plan.total_steps, run.config.output.log_every), sent_bytes(run)};
  show_memory(run);
  const std::optional<RunProgress> resumed = resume(run);
  loop.progress = resumed.value_or(RunProgress{});
  if (!resumed) {
    initialize_adapter_from_weights(run);
  }
  if (resumed && is_complete(loop) && !loop.progress.evaluation_due) {
    if (!result_is_there(run)) {
      save_result(run, loop.progress.step, ResultOf::last);
    }
    run.console.line(fmt::format(
        "this run is complete: {} of {} steps are done, the {} is in {}. To train further, raise train.max_steps "
        "or train.epochs; to start afresh, choose another output.dir.",
        loop.progress.step, plan.total_steps, run.trained ? "model" : "adapter", result_folder(run, ResultOf::last).string()));
    return ExitCode::done;
  }
  start_output(loop, resumed.has_value());
  run.console.line(fmt::format("training   {} steps, {} per epoch, {} sequences per step in micro-batches of {}; output in {}",
                               plan.total_steps, plan.steps_per_epoch, run.config.train.global_batch,
                               run.config.train.micro_batch, run.output.string()));
  warn_of_idle_steps(run, plan);
  if (!resumed && !run.validation.empty() && !do_evaluation(loop)) {
    throw Error(ExitCode::stopped, nothing_trained_sentence(), ErrorScope::collective);
  }
  run.watch->steps_begin();
  if (const ExitCode code = do_steps_and_saves(loop); code != ExitCode::done) {
    return code;
  }
  show_summary(run, loop.progress, loop.saving, plan.total_steps);
  return ExitCode::done;
}

}  // namespace

ExitCode run_training(TrainingRun& run) {
  return with_flight_record(*run.watch, run.world->rank(), [&] { return resume_and_train(run); });
}

}  // namespace lora_dist
