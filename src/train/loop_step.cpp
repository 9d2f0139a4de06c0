// One step of the training loop: its batch, its result, its line in the logs.
#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "src/core/activity.h"
#include "src/core/elapsed.h"
#include "src/core/fault_point.h"
#include "src/core/memory_report.h"
#include "src/core/stop_request.h"
#include "src/data/sampler.h"
#include "src/train/run_watch.h"
#include "src/train/training_loop.h"

namespace lora_dist {

namespace {

constexpr double kLongStep = 1.0;  // seconds; shorter steps do not check for stop requests

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
          update_ranges(run.layout, run.config.adapter.loraplus_ratio),
          run.device->dtype == DType::f16};
}

/// The sequences of the next step.
std::vector<Sequence> next_global_batch(TrainingLoop& loop) {
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

/// The rows of the micro-batches that were not finite, at most a few.
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

void refuse_non_finite(TrainingLoop& loop, const StepResult& result) {
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
        ErrorScope::collective);
  }
  loop.line.end_line();
  loop.run.console.warn(fmt::format("step {} is not finite and was left out ({} of {} allowed){}", step, loop.progress.skipped,
                                    allowed, rows.empty() ? "" : "; rows " + rows));
}

/// The values that each rank sends to the others at the end of a step; 8 bytes each, so that there is no padding.
struct RankReport {
  std::array<std::int64_t, kWireKinds> sent{};  // bytes
  std::int64_t peak_bytes = 0;
  double own_seconds = 0.0;  // without waits for others
  double gathers = 0.0;      // as in WaitTimes
  double base_gather = 0.0;
  double adapter_gradient = 0.0;
  std::int64_t stop_requested = 0;
  std::int64_t writing = 0;  // 1 while a checkpoint is written
};

RankReport own_report(const TrainingLoop& loop, double own_seconds, double gradient_seconds) {
  const TrainingRun& run = loop.run;
  RankReport report;
  const WireBytes now = sent_bytes(run);
  for (std::size_t i = 0; i < kWireKinds; ++i) {
    report.sent[i] = now.bytes[i] - loop.wire_before.bytes[i];
  }
  report.peak_bytes = peak_resident_bytes();
  report.own_seconds = own_seconds;
  const GatherTimes& gathers = run.model->window->gather_times();
  report.gathers = gathers.under_way - loop.gathers_before.under_way;
  report.base_gather = gathers.waited - loop.gathers_before.waited;
  report.adapter_gradient = gradient_seconds;
  report.stop_requested = stop_requested() ? 1 : 0;
  report.writing = is_writing(loop.saving) ? 1 : 0;
  return report;
}

std::vector<RankReport> all_reports(Communicator& world, const RankReport& own) {
  std::vector<RankReport> all(static_cast<std::size_t>(world.size()));
  world.all_gather(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(all)), WireKind::control);
  return all;
}

/// Adds the mean waits of this step; the sums over all steps of this process are kept for the end.
void add_waits(TrainingRun& run, std::span<const RankReport> reports, StepMetrics& metrics) {
  if (run.device->on_device()) {
    return;  // the host does not see when bytes move
  }
  const auto ranks = static_cast<double>(reports.size());
  for (const RankReport& report : reports) {
    metrics.waits.gathers += report.gathers / ranks;
    metrics.waits.base_gather += report.base_gather / ranks;
    metrics.waits.adapter_gradient += report.adapter_gradient / ranks;
  }
  metrics.waits.known = run.waits.known = true;
  run.waits.gathers += metrics.waits.gathers;
  run.waits.base_gather += metrics.waits.base_gather;
  run.waits.adapter_gradient += metrics.waits.adapter_gradient;
}

/// Bytes sent, peak memory, waits and the slowest rank, over all ranks. Returns true if any rank received a stop request.
bool add_reports(TrainingLoop& loop, std::span<const RankReport> reports, StepMetrics& metrics) {
  bool stop = false;
  bool writing = false;
  std::vector<double> seconds;
  for (const RankReport& report : reports) {
    std::transform(report.sent.begin(), report.sent.end(), metrics.wire.bytes.begin(), metrics.wire.bytes.begin(), std::plus{});
    metrics.memory_peak_bytes = std::max(metrics.memory_peak_bytes, report.peak_bytes);
    seconds.push_back(report.own_seconds);
    stop = stop || report.stop_requested != 0;
    writing = writing || report.writing != 0;
  }
  add_waits(loop.run, reports, metrics);
  const SlowestRank slowest = slowest_of(seconds);
  metrics.slowest_rank = slowest.rank;
  metrics.slowest_ratio = slowest.ratio;
  loop.step_seconds = slowest.seconds;
  loop.run.last_peak_bytes = metrics.memory_peak_bytes;
  loop.run.last_wire = metrics.wire;
  loop.save_waits = loop.saving.pending != nullptr && !writing;
  return stop;
}

void note_spike(TrainingLoop& loop, double loss) {
  const double mean = loop.trend.mean;
  if (is_spike(loop.trend, loss)) {
    loop.line.end_line();
    loop.run.console.line(fmt::format("note: the loss of step {} is a spike: {:.4f}, and {:.4f} in the steps before",
                                      loop.progress.step, loss, mean));
  }
}

/// Computes the step, which started at `start`, with this learning rate.
StepResult compute_step(TrainingLoop& loop, double learning_rate, Clock::time_point start) {
  TrainingRun& run = loop.run;
  const ForwardContext model = run.tuned();
  const StepOptions options = step_options(run);
  const std::vector<Sequence> sequences = next_global_batch(loop);
  StepInput input{.model = model,
                  .part = run.part,
                  .ranks = {*run.mesh.data_group, *run.world, run.device->data ? *run.device->data : *run.world},
                  .buffers = run.buffers,
                  .sequences = sequences,
                  .samples = run.dataset.train,
                  .options = options,
                  .encoder = run.layout.encoder ? &*run.layout.encoder : nullptr,
                  .step = loop.progress.step,
                  .optimizer_step = loop.progress.optimizer_step + 1,
                  .learning_rate = learning_rate};
  const StepOfMethod method{run.layout, run.config.adapter.adalora, run.budget, loop.plan.total_steps};
  input.trained = run.trained ? &*run.trained : nullptr;
  input.method = run.layout.method->step == nullptr ? nullptr : &method;
  if (loop.step_seconds == 0.0 || loop.step_seconds > kLongStep) {
    input.abort = [&] { return stop_agreed(*run.world); };
  }
  if (run.console.speaks) {
    input.tell_done = [&](std::int64_t done, std::int64_t all) {
      loop.line.within_step({loop.progress.step + 1, done, all, seconds_since(start)}, seconds_since({}));
    };
  }
  StepResult result;
  explain_full_memory(run.model->arena, fmt::format("an operator of step {}", loop.progress.step + 1),
                      [&] { result = train_step(input, loop.progress.loss_scale); });
  return result;
}

/// Counts the step as done.
void advance(TrainingLoop& loop, const StepResult& result, StepMetrics& metrics) {
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
  metrics.regularization_loss = result.regularization_loss;
  metrics.tokens = result.tokens;
  metrics.target_tokens = result.target_tokens;
}

void log_step(TrainingLoop& loop, const StepMetrics& metrics) {
  loop.on_rank_0([&] {
    loop.logs->add(metrics);
    loop.line.step_done(
        metrics.step, metrics.epoch, metrics.loss, metrics.learning_rate, metrics.tokens, metrics.seconds,
        loop.run.world->size() > 1 ? fmt::format("slowest rank {} ({:.1f}x)", metrics.slowest_rank, metrics.slowest_ratio) : "");
  });
}

}  // namespace

StepEnd do_step(TrainingLoop& loop) {
  TrainingRun& run = loop.run;
  const auto start = Clock::now();
  loop.wire_before = sent_bytes(run);
  loop.gathers_before = run.model->window->gather_times();
  StepMetrics metrics;
  metrics.learning_rate = learning_rate(loop.progress.step, loop.plan.total_steps, loop.plan.warmup,
                                        run.config.train.learning_rate, loop.plan.schedule);
  note_step(loop.progress.step + 1);
  const AtWork here("training");
  fault_point("step");
  const double waited_before = seconds_in_collectives();
  const StepResult result = compute_step(loop, metrics.learning_rate, start);
  if (result.aborted) {
    return StepEnd::aborted;
  }
  const double own_seconds = seconds_since(start) - (seconds_in_collectives() - waited_before);
  fault_point("adapter", run.buffers.params);
  advance(loop, result, metrics);
  const bool stop = add_reports(loop, all_reports(*run.world, own_report(loop, own_seconds, result.gradient_seconds)), metrics);
  metrics.saved = next_to_log(loop.saving);
  metrics.seconds = seconds_since(start);
  run.watch->note_step_seconds(metrics.seconds + slowest_save(loop.saving));  // a stop request may find a save in progress
  metrics.tokens_per_second = static_cast<double>(metrics.tokens) / metrics.seconds;
  log_step(loop, metrics);
  if (result.finite) {
    note_spike(loop, metrics.loss);
  }
  return stop ? StepEnd::stop_asked : StepEnd::done;
}

}  // namespace lora_dist
