// One step of the training loop: its batch, what came of it, its line in the logs.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "src/core/fault_point.h"
#include "src/core/memory_report.h"
#include "src/core/pulse.h"
#include "src/core/stop_request.h"
#include "src/data/sampler.h"
#include "src/train/run_watch.h"
#include "src/train/training_loop.h"

namespace lora_dist {

namespace {

using Clock = std::chrono::steady_clock;
constexpr double kLongStep = 1.0;  // seconds; a shorter one is not looked into for a request to stop

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

/// The sequences of the step that comes next.
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
        Noticed::every_rank);
  }
  loop.line.end_line();
  loop.run.console.warn(fmt::format("step {} is not finite and was left out ({} of {} allowed){}", step, loop.progress.skipped,
                                    allowed, rows.empty() ? "" : "; rows " + rows));
}

/// Peak memory and bytes sent, over all ranks, and whether any is at work on a checkpoint. Returns true when a stop was asked for
/// by now.
bool add_totals(TrainingLoop& loop, StepMetrics& metrics) {
  Communicator& world = *loop.run.world;
  std::array<std::int64_t, kWireKinds> sent{};
  const WireBytes now = sent_bytes(loop.run);
  for (std::size_t i = 0; i < kWireKinds; ++i) {
    sent[i] = now.bytes[i] - loop.wire_before.bytes[i];
  }
  world.all_reduce(sent, Reduce::sum, WireKind::control);
  std::array<std::int64_t, 3> most = {peak_resident_bytes(), stop_requested() ? 1 : 0, is_writing(loop.saving) ? 1 : 0};
  world.all_reduce(most, Reduce::max, WireKind::control);
  metrics.memory_peak_bytes = loop.run.last_peak_bytes = most[0];
  metrics.wire.bytes = loop.run.last_wire.bytes = sent;
  loop.save_waits = loop.saving.pending != nullptr && most[2] == 0;
  return most[1] != 0;
}

/// What the ranks waited in this step, on average; what they did in all steps of this process is kept for the end.
void add_waits(TrainingLoop& loop, double gradient_seconds, StepMetrics& metrics) {
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

void note_spike(TrainingLoop& loop, double loss) {
  const double mean = loop.trend.mean;
  if (is_spike(loop.trend, loss)) {
    loop.line.end_line();
    loop.run.console.line(fmt::format("note: the loss of step {} is a spike: {:.4f}, and {:.4f} in the steps before",
                                      loop.progress.step, loss, mean));
  }
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
  StepResult result;
  explain_full_memory(run.model->arena, fmt::format("an operator of step {}", loop.progress.step + 1), [&] {
    StepRanks ranks{*run.mesh.data_group, *run.world, run.compute->data ? *run.compute->data : *run.world};
    if (loop.step_seconds == 0.0 || loop.step_seconds > kLongStep) {
      ranks.give_up = [&] { return stop_agreed(*run.world); };
    }
    result = train_step(run.tuned(), run.part, ranks, next_global_batch(loop), run.dataset.train, step_options(run),
                        loop.progress.step, loop.progress.optimizer_step + 1, metrics.learning_rate, run.buffers,
                        stop_requested(), loop.progress.loss_scale);
  });
  if (result.given_up) {
    return StepEnd::given_up;
  }
  const double own_seconds =
      std::chrono::duration<double>(Clock::now() - start).count() - (seconds_in_collectives() - waited_before);
  fault_point("adapter", run.buffers.params);
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
  const bool stop = add_totals(loop, metrics);
  add_waits(loop, result.gradient_seconds, metrics);
  const SlowestRank slowest = find_slowest(*run.world, own_seconds);
  metrics.slowest_rank = slowest.rank;
  metrics.slowest_ratio = slowest.ratio;
  loop.step_seconds = slowest.seconds;
  metrics.saved = std::exchange(loop.saving.newest, std::nullopt);
  metrics.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  run.watch->note_step_seconds(metrics.seconds + run.saves.most_seconds);  // a stop may find a save under way
  metrics.tokens_per_second = static_cast<double>(metrics.tokens) / metrics.seconds;
  loop.on_rank_0([&] {
    loop.logs->add(metrics);
    loop.line.step_done(metrics.step, metrics.epoch, metrics.loss, metrics.learning_rate, metrics.tokens, metrics.seconds,
                        run.world->size() > 1 ? fmt::format("slowest rank {} ({:.1f}x)", slowest.rank, slowest.ratio) : "");
  });
  if (result.finite) {
    note_spike(loop, metrics.loss);
  }
  return stop ? StepEnd::stop_asked : StepEnd::done;
}

}  // namespace lora_dist
