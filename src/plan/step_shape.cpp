// Reads the shape of a step from a configuration and the options of `plan`.
#include "src/plan/step_shape.h"

#include <fmt/format.h>

#include "src/core/error.h"

namespace lora_dist {

namespace {

[[noreturn]] void fail(const std::string& message) { throw Error(ExitCode::usage, message, ErrorScope::collective); }

}  // namespace

std::int64_t StepShape::recomputed_last(int data) const {
  std::int64_t count = 0;
  for (int rank = 0; rank < data; ++rank) {
    const std::int64_t of_rank = (micro_batches() - rank + data - 1) / data;
    count += of_rank > 0 ? of_rank - (of_rank + micro_batches_in_flight - 1) / micro_batches_in_flight : 0;
  }
  return count;
}

StepShape step_shape(const Config& config, const PlanOptions& options, const VirtualTokens& virtual_tokens) {
  StepShape step;
  step.virtual_tokens = virtual_tokens.count;
  step.predicts_first = virtual_tokens.count > 0 && virtual_tokens.predict();
  step.sequences = config.train.global_batch;
  step.micro_batch = std::min(config.train.micro_batch, config.train.global_batch);
  step.micro_batches_in_flight = config.train.micro_batches_in_flight;
  step.sequence_tokens = options.tokens_per_sequence > 0 ? options.tokens_per_sequence : config.data.max_length;
  const char* full = options.tokens_per_sequence > 0 ? "--tokens-per-sequence" : "data.max_length";
  if (step.sequence_tokens > config.data.max_length) {
    fail(fmt::format("--tokens-per-sequence {} is more than data.max_length ({}) allows", step.sequence_tokens,
                     config.data.max_length));
  }
  step.sample_tokens = options.tokens_per_sample > 0 ? options.tokens_per_sample : step.sequence_tokens;
  if (step.sample_tokens > step.sequence_tokens) {
    fail(fmt::format("--tokens-per-sample {} is more than a sequence has ({} {})", step.sample_tokens, full,
                     step.sequence_tokens));
  }
  if (!config.data.packing && options.tokens_per_sample > 0) {  // a sequence is one sample
    step.sequence_tokens = step.sample_tokens;
  }
  step.samples_of_sequence = std::max<std::int64_t>(1, step.sequence_rows() / step.sample_rows());
  return step;
}

}  // namespace lora_dist
