// The files that one rank writes during a run.
#include "src/report/run_logs.h"

#include <array>

namespace lora_dist {

RunLogs::RunLogs(const std::filesystem::path& output, bool tensorboard, std::int64_t keep_through_step)
    : metrics_(output / "metrics.jsonl", keep_through_step), evaluations_(output / "eval.jsonl", keep_through_step) {
  if (tensorboard) {
    tensorboard_ = std::make_unique<TensorBoardWriter>(output / "tensorboard", keep_through_step);
  }
}

void RunLogs::add(const StepMetrics& step) {
  metrics_.append(step);
  if (tensorboard_) {
    const std::array<Scalar, 4> scalars = {{{"train/loss", step.loss},
                                            {"train/learning_rate", step.learning_rate},
                                            {"train/grad_norm", step.grad_norm},
                                            {"train/tokens_per_second", step.tokens_per_second}}};
    tensorboard_->add_scalars(step.step, scalars);
  }
}

void RunLogs::add(const EvalRecord& record) {
  evaluations_.append(record);
  if (tensorboard_) {
    const std::array<Scalar, 2> scalars = {{{"eval/loss", record.loss}, {"eval/perplexity", record.perplexity}}};
    tensorboard_->add_scalars(record.step, scalars);
  }
}

void RunLogs::sync() {
  metrics_.sync();
  evaluations_.sync();
}

}  // namespace lora_dist
