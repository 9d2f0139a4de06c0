// The loop over steps, with evaluations, checkpoints and logs.
#include "src/train/trainer.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>

#include "src/comm/agree.h"
#include "src/config/print_config.h"
#include "src/core/stop_request.h"
#include "src/data/sampler.h"
#include "src/io/directory_lock.h"
#include "src/io/file.h"
#include "src/optim/schedule.h"
#include "src/train/progress.h"
#include "src/train/resume.h"
#include "src/train/run_logs.h"
#include "src/train/summary.h"

namespace lora_dist {

namespace {

using Clock = std::chrono::steady_clock;

/// How long the run is, in steps.
struct Plan {
  std::int64_t steps_per_epoch = 0;
  std::int64_t total_steps = 0;
  std::int64_t warmup = 0;
  Schedule schedule = Schedule::cosine;
};

Plan plan_of(const TrainingRun& run) {
  const TrainConfig& train = run.config.train;
  Plan plan;
  plan.steps_per_epoch = steps_per_epoch(static_cast<std::int64_t>(run.train.size()), train.global_batch);
  plan.total_steps = train.max_steps > 0
                         ? train.max_steps
                         : static_cast<std::int64_t>(std::ceil(train.epochs * static_cast<double>(plan.steps_per_epoch)));
  plan.warmup = warmup_steps(train.warmup_ratio, plan.total_steps);
  plan.schedule = schedule_named(train.schedule);
  return plan;
}

StepOptions step_options(const TrainingRun& run) {
  const TrainConfig& train = run.config.train;
  return {train.micro_batch,
          static_cast<float>(run.config.adapter.dropout),
          static_cast<std::uint64_t>(train.seed),
          train.max_grad_norm,
          train.beta1,
          train.beta2,
          train.eps,
          train.weight_decay,
          run.compute->dtype == DType::f16};
}

/// The loop's own state.
struct Loop {
  TrainingRun& run;
  Plan plan;
  RunProgress progress;
  std::unique_ptr<RunLogs> logs;  // on rank 0
  ProgressLine line;
  WireBytes wire_before;
  GatherTimes gathers_before = {};
  std::int64_t order_epoch = -1;
  std::vector<std::int32_t> order = {};  // of that epoch

  double epoch() const { return static_cast<double>(progress.step) / static_cast<double>(plan.steps_per_epoch); }

  /// Work of rank 0 that may fail (a full disk): everybody learns of it.
  template <class Work>
  void on_rank_0(Work work) {
    run_together(*run.world, [&] {
      if (logs) {
        work();
      }
    });
  }
};

/// The sequences of the step that comes next.
std::vector<Sequence> next_global_batch(Loop& loop) {
  const TrainConfig& train = loop.run.config.train;
  const auto count = static_cast<std::int64_t>(loop.run.train.size());
  const Cursor cursor = cursor_at(loop.progress.step, count, train.global_batch);
  if (cursor.epoch != loop.order_epoch) {
    loop.order = epoch_order(static_cast<std::uint64_t>(train.seed), cursor.epoch, count, loop.run.config.data.shuffle);
    loop.order_epoch = cursor.epoch;
  }
  std::vector<Sequence> sequences;
  for (const std::int32_t index : global_batch_at(loop.order, cursor, train.global_batch)) {
    sequences.push_back(loop.run.train[static_cast<std::size_t>(index)]);
  }
  return sequences;
}

/// Which rows were in the passes that were not finite, at most a few.
std::string describe_rows(const TrainingRun& run, std::vector<std::int64_t> samples) {
  constexpr std::size_t kShown = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, samples.size()); ++i) {
    const Sample& sample = run.dataset.train[static_cast<std::size_t>(samples[i])];
    const std::string& file = run.dataset.report.files[static_cast<std::size_t>(sample.file)].path;
    text += fmt::format("{}{}:{}", i == 0 ? "" : ", ", file, sample.row);
  }
  return samples.size() > kShown ? text + fmt::format(" and {} more", samples.size() - kShown) : text;
}

void refuse_non_finite(Loop& loop, const StepResult& result) {
  const std::int64_t step = loop.progress.step + 1;
  const std::string rows = describe_rows(loop.run, result.bad_samples);
  ++loop.progress.skipped;
  const std::int64_t allowed = loop.run.config.train.max_skipped_steps;
  if (loop.progress.skipped > allowed) {
    loop.line.end_line();
    throw Error(
        ExitCode::non_finite,
        fmt::format(
            "step {}: loss or gradient is not finite (or too large to be added up){}. Nothing of it reached the adapter; "
            "checkpoints are as they were. Lower train.learning_rate, check these rows, or allow steps to be left out with "
            "train.max_skipped_steps.",
            step, rows.empty() ? "" : " in a pass with rows " + rows),
        Noticed::every_rank);
  }
  loop.line.end_line();
  loop.run.console.warn(fmt::format("step {} is not finite and was left out ({} of {} allowed){}", step, loop.progress.skipped,
                                    allowed, rows.empty() ? "" : "; rows " + rows));
}

/// Peak memory and bytes sent, over all ranks.
void add_totals(Loop& loop, StepMetrics& metrics) {
  Communicator& world = *loop.run.world;
  std::array<std::int64_t, kWireKinds> sent{};
  const WireBytes now = sent_bytes(loop.run);
  for (std::size_t i = 0; i < kWireKinds; ++i) {
    sent[i] = now.bytes[i] - loop.wire_before.bytes[i];
  }
  world.all_reduce(sent, Reduce::sum, WireKind::control);
  std::array<std::int64_t, 1> peak = {peak_resident_bytes()};
  world.all_reduce(peak, Reduce::max, WireKind::control);
  metrics.memory_peak_bytes = loop.run.last_peak_bytes = peak[0];
  metrics.wire.bytes = loop.run.last_wire.bytes = sent;
}

/// What the ranks waited in this step, on average; what they did in all steps of this process is kept for the end.
void add_waits(Loop& loop, double gradient_seconds, StepMetrics& metrics) {
  TrainingRun& run = loop.run;
  if (run.compute->on_device()) {
    return;  // the host does not see when bytes move
  }
  const GatherTimes& now = run.model->window->gather_times();
  const std::array<double, 3> mine = {now.under_way - loop.gathers_before.under_way, now.waited - loop.gathers_before.waited,
                                      gradient_seconds};
  std::array<std::int64_t, 3> nanoseconds{};
  std::transform(mine.begin(), mine.end(), nanoseconds.begin(), [](double seconds) { return std::llrint(seconds * 1e9); });
  run.world->all_reduce(nanoseconds, Reduce::sum, WireKind::control);
  const auto mean = [&](std::size_t i) { return static_cast<double>(nanoseconds[i]) * 1e-9 / run.world->size(); };
  metrics.waits = {true, mean(0), mean(1), mean(2)};
  run.waits.known = true;
  run.waits.gathers += mean(0);
  run.waits.base_gather += mean(1);
  run.waits.adapter_gradient += mean(2);
}

/// One optimizer step with its line in the logs. Returns true when a stop was asked for.
bool do_step(Loop& loop) {
  TrainingRun& run = loop.run;
  const auto start = Clock::now();
  loop.wire_before = sent_bytes(run);
  loop.gathers_before = run.model->window->gather_times();
  StepMetrics metrics;
  metrics.learning_rate = learning_rate(loop.progress.step, loop.plan.total_steps, loop.plan.warmup,
                                        run.config.train.learning_rate, loop.plan.schedule);
  const bool stop_here = run.config.checkpoint.on_signal && stop_requested();
  StepResult result;
  explain_full_memory(run.model->arena, fmt::format("an operator of step {}", loop.progress.step + 1), [&] {
    const StepRanks ranks{*run.mesh.data_group, *run.world, run.compute->data ? *run.compute->data : *run.world};
    result = train_step(run.tuned(), run.part, ranks, next_global_batch(loop), run.dataset.train, step_options(run),
                        loop.progress.step, loop.progress.optimizer_step + 1, metrics.learning_rate, run.buffers, stop_here,
                        loop.progress.loss_scale);
  });
  if (result.finite) {
    ++loop.progress.optimizer_step;
  } else {
    refuse_non_finite(loop, result);
  }
  ++loop.progress.step;
  loop.progress.tokens += result.tokens;
  metrics.step = loop.progress.step;
  metrics.epoch = loop.epoch();
  metrics.loss = result.finite ? result.loss : std::numeric_limits<double>::quiet_NaN();
  metrics.grad_norm = result.finite ? result.grad_norm : std::numeric_limits<double>::quiet_NaN();
  metrics.tokens = result.tokens;
  metrics.target_tokens = result.target_tokens;
  add_totals(loop, metrics);
  add_waits(loop, result.gradient_seconds, metrics);
  metrics.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  metrics.tokens_per_second = static_cast<double>(metrics.tokens) / metrics.seconds;
  loop.on_rank_0([&] {
    loop.logs->add(metrics);
    loop.line.step_done(metrics.step, metrics.epoch, metrics.loss, metrics.learning_rate, metrics.tokens, metrics.seconds);
  });
  return result.stop_asked;
}

/// Scores the validation data and notes the result; the best adapter so far is kept.
void do_evaluation(Loop& loop) {
  TrainingRun& run = loop.run;
  const Evaluation evaluation =
      evaluate(run.tuned(), *run.mesh.data_group, run.validation, run.dataset.validation, run.config.train.micro_batch);
  const double value = run.config.eval.best_metric == "perplexity" ? evaluation.perplexity : evaluation.loss;
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
    save_adapter(run, loop.progress.step, "adapter_best");
  }
}

bool evaluation_is_due(const Loop& loop) {
  const std::int64_t step = loop.progress.step;
  const std::int64_t every = loop.run.config.eval.every > 0 ? loop.run.config.eval.every : loop.plan.steps_per_epoch;
  return !loop.run.validation.empty() && (step % every == 0 || step == loop.plan.total_steps);
}

void do_save(Loop& loop) {
  loop.line.end_line();
  loop.on_rank_0([&] { loop.logs->sync(); });
  save(loop.run, loop.progress);
}

/// True when nothing is left to do.
bool is_complete(const Loop& loop) {
  return loop.progress.step >= loop.plan.total_steps ||
         should_stop(loop.progress.best, loop.run.config.train.early_stopping_patience);
}

void start_output(Loop& loop, bool resumed) {
  TrainingRun& run = loop.run;
  run_together(*run.world, [&] {
    if (run.world->rank() == 0) {
      set_aside_later_checkpoints(run, loop.progress.step);
      write_file_atomically(run.output / "config.resolved.toml", print_config(run.config), ExitCode::usage);
      loop.logs = std::make_unique<RunLogs>(run.output, run.config.output.tensorboard, resumed ? loop.progress.step : -1);
    }
  });
}

/// Rank 0 looks, for everybody.
bool adapter_is_there(const TrainingRun& run) {
  std::error_code ignored;
  std::array<std::int64_t, 1> there = {
      std::filesystem::exists(run.output / "adapter" / "adapter_model.safetensors", ignored) ? 1 : 0};
  run.world->broadcast(std::as_writable_bytes(std::span(there)), 0, WireKind::control);
  return there[0] != 0;
}

ExitCode stop_now(Loop& loop) {
  do_save(loop);
  save_adapter(loop.run, loop.progress.step, "adapter");
  loop.run.console.line(fmt::format("stopped on request at step {} of {}; the checkpoint is saved, run the same command to go on",
                                    loop.progress.step, loop.plan.total_steps));
  return ExitCode::stopped;
}

/// Steps until the end; returns stopped when asked to.
ExitCode do_steps(Loop& loop) {
  const std::int64_t every = loop.run.config.checkpoint.every;
  while (!is_complete(loop)) {
    const bool stop = do_step(loop);
    if (evaluation_is_due(loop)) {
      do_evaluation(loop);
    }
    if (is_complete(loop)) {
      save_adapter(loop.run, loop.progress.step, "adapter");  // before the checkpoint that calls the run complete
      do_save(loop);
    } else if (stop) {
      return stop_now(loop);
    } else if (every > 0 && loop.progress.step % every == 0) {
      do_save(loop);
    }
  }
  return ExitCode::done;
}

}  // namespace

ExitCode run_training(TrainingRun& run) {
  if (!run.config.checkpoint.on_signal) {
    end_on_stop_requests();
  }
  std::optional<DirectoryLock> lock;  // held by rank 0
  run_together(*run.world, [&] {
    if (run.world->rank() == 0) {
      lock.emplace(run.output, "output.dir");
    }
  });
  const Plan plan = plan_of(run);
  const bool live = run.console.speaks && is_live_terminal(stdout);
  Loop loop{run, plan, {}, nullptr, ProgressLine(stdout, live, plan.total_steps, run.config.output.log_every), sent_bytes(run)};
  show_memory(run);
  const std::optional<RunProgress> resumed = resume(run);
  loop.progress = resumed.value_or(RunProgress{});
  if (resumed && is_complete(loop)) {
    if (!adapter_is_there(run)) {
      save_adapter(run, loop.progress.step, "adapter");
    }
    run.console.line(fmt::format(
        "this run is complete: {} of {} steps are done, the adapter is in {}. To train further, raise train.max_steps "
        "or train.epochs; to start afresh, choose another output.dir.",
        loop.progress.step, plan.total_steps, (run.output / "adapter").string()));
    return ExitCode::done;
  }
  start_output(loop, resumed.has_value());
  run.console.line(fmt::format("training   {} steps, {} per epoch, {} sequences per step in passes of {}; output in {}",
                               plan.total_steps, plan.steps_per_epoch, run.config.train.global_batch,
                               run.config.train.micro_batch, run.output.string()));
  if (!resumed && !run.validation.empty()) {
    do_evaluation(loop);
  }
  if (const ExitCode code = do_steps(loop); code != ExitCode::done) {
    return code;
  }
  show_summary(run, loop.progress, plan.total_steps);
  return ExitCode::done;
}

}  // namespace lora_dist
