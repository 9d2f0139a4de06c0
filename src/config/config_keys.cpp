// The one table of configuration keys.
#include "src/config/config_keys.h"

#include <algorithm>

#include "kernels/common/block_size.h"
#include "src/config/nearest_name.h"

namespace lora_dist {
namespace {

constexpr OnResume kRefuse = OnResume::refuse;
constexpr OnResume kAllow = OnResume::allow;
constexpr OnResume kBits = OnResume::bits_may_differ;
constexpr std::int64_t kManySteps = std::int64_t{1} << 40;

// A new key is one line here and one member in config.h.
// clang-format off
std::vector<Key> make_keys() {
  return {
    {"model.path", [](Config& c) -> Slot { return &c.model.path; }, Text{}, kRefuse, "Hugging Face model folder (required)"},
    {"model.quantization", [](Config& c) -> Slot { return &c.model.quantization; }, Words{{"none", "nf4", "fp4", "int8"}}, kRefuse, "how the frozen base is kept: none, nf4, fp4, int8"},
    {"model.double_quant", [](Config& c) -> Slot { return &c.model.double_quant; }, Flag{}, kRefuse, "quantize the scales too (saves 0.4 bit per weight)"},
    {"model.block_size", [](Config& c) -> Slot { return &c.model.block_size; }, Whole{kSmallestBlock, kLargestBlock}, kRefuse, "weights that share one scale: a power of two"},
    {"model.compute_dtype", [](Config& c) -> Slot { return &c.model.compute_dtype; }, Words{{"auto", "fp32", "bf16", "fp16"}}, kRefuse, "type that products are computed in: auto, fp32, bf16, fp16"},

    {"adapter.method", [](Config& c) -> Slot { return &c.adapter.method; }, Words{{"lora", "dora", "adalora", "prompt", "prefix", "p_tuning"}}, kRefuse, "kind of adapter", {"lora"}},
    {"adapter.r", [](Config& c) -> Slot { return &c.adapter.r; }, Whole{1, 65536}, kRefuse, "rank of the adapter"},
    {"adapter.alpha", [](Config& c) -> Slot { return &c.adapter.alpha; }, Real{0.0, 1e6, true}, kRefuse, "the adapter's product is scaled by alpha / r"},
    {"adapter.dropout", [](Config& c) -> Slot { return &c.adapter.dropout; }, Real{0.0, 1.0, false, true}, kRefuse, "share of adapter inputs set to zero while training"},
    {"adapter.target_modules", [](Config& c) -> Slot { return &c.adapter.target_modules; }, Texts{}, kRefuse, "linear layers that get an adapter, or \"all-linear\""},
    {"adapter.rslora", [](Config& c) -> Slot { return &c.adapter.rslora; }, Flag{}, kRefuse, "scale by alpha / sqrt(r) instead"},
    {"adapter.init_from", [](Config& c) -> Slot { return &c.adapter.init_from; }, Text{true}, kRefuse, "PEFT adapter folder to start from; empty: a fresh adapter"},

    {"data.train", [](Config& c) -> Slot { return &c.data.train; }, Texts{false, true}, kRefuse, "files to train on, or patterns (data/*.jsonl); required"},
    {"data.validation", [](Config& c) -> Slot { return &c.data.validation; }, Texts{true, true}, kRefuse, "files to evaluate on; empty: a part of the training data"},
    {"data.validation_split", [](Config& c) -> Slot { return &c.data.validation_split; }, Real{0.0, 1.0, false, true}, kRefuse, "that part, where there are no validation files"},
    {"data.format", [](Config& c) -> Slot { return &c.data.format; }, Words{{"auto", "alpaca", "chat", "qa", "text", "ids", "marked_text", "qa_text"}}, kRefuse, "kind of rows: auto, alpaca, chat, qa, text, ids, marked_text, qa_text"},
    {"data.template", [](Config& c) -> Slot { return &c.data.template_name; }, Words{{"auto", "alpaca", "qa", "raw", "chatml", "plain", "tokenizer"}}, kRefuse, "text around a row: auto, alpaca, qa, raw, chatml, plain, tokenizer (the model's own chat template)"},
    {"data.train_on", [](Config& c) -> Slot { return &c.data.train_on; }, Words{{"completion", "all"}}, kRefuse, "tokens that count in the loss: completion, all"},
    {"data.max_length", [](Config& c) -> Slot { return &c.data.max_length; }, Whole{2, 1 << 20}, kRefuse, "tokens of a sequence at most"},
    {"data.packing", [](Config& c) -> Slot { return &c.data.packing; }, Flag{}, kRefuse, "several samples in one sequence, not seeing each other"},
    {"data.shuffle", [](Config& c) -> Slot { return &c.data.shuffle; }, Flag{}, kRefuse, "another order each epoch; false: file order"},
    {"data.overlong", [](Config& c) -> Slot { return &c.data.overlong; }, Words{{"truncate", "drop", "error"}}, kRefuse, "samples above max_length: truncate, drop, error"},
    {"data.bad_rows", [](Config& c) -> Slot { return &c.data.bad_rows; }, Words{{"error", "skip"}}, kRefuse, "rows that cannot be read: error, skip (counted, and listed in output.dir/bad_rows.jsonl)"},
    {"data.max_bad_rows", [](Config& c) -> Slot { return &c.data.max_bad_rows; }, Whole{0, std::numeric_limits<std::int32_t>::max()}, kAllow, "rows that are skipped at most, of all files; 0: no limit"},
    {"data.cache_dir", [](Config& c) -> Slot { return &c.data.cache_dir; }, Text{true}, kAllow, "where tokens are kept for the next run; empty: in output.dir; none: nowhere"},

    {"train.seed", [](Config& c) -> Slot { return &c.train.seed; }, Whole{0, std::numeric_limits<std::int64_t>::max()}, kRefuse, "of order, dropout and fresh adapter weights"},
    {"train.epochs", [](Config& c) -> Slot { return &c.train.epochs; }, Real{0.0, 1e6, true}, kAllow, "passes over the training data"},
    {"train.max_steps", [](Config& c) -> Slot { return &c.train.max_steps; }, Whole{0, kManySteps}, kAllow, "optimizer steps; 0: as many as epochs gives"},
    {"train.global_batch", [](Config& c) -> Slot { return &c.train.global_batch; }, Whole{1, 1 << 24}, kRefuse, "sequences per optimizer step, over all ranks"},
    {"train.micro_batch", [](Config& c) -> Slot { return &c.train.micro_batch; }, Whole{1, 1 << 16}, kBits, "sequences per micro-batch (memory and speed)"},
    {"train.micro_batches_in_flight", [](Config& c) -> Slot { return &c.train.micro_batches_in_flight; }, Whole{1, 1 << 10}, kAllow, "micro-batches that go through a block while its weights are there (memory for gathers and dequantization)"},
    {"train.learning_rate", [](Config& c) -> Slot { return &c.train.learning_rate; }, Real{0.0, std::numeric_limits<double>::max()}, kRefuse, "the highest of the schedule"},
    {"train.schedule", [](Config& c) -> Slot { return &c.train.schedule; }, Words{{"constant", "linear", "cosine"}}, kRefuse, "learning rate after warm-up: constant, linear, cosine"},
    {"train.warmup_ratio", [](Config& c) -> Slot { return &c.train.warmup_ratio; }, Real{0.0, 1.0}, kRefuse, "share of the steps in which the learning rate rises"},
    {"train.optimizer", [](Config& c) -> Slot { return &c.train.optimizer; }, Words{{"adamw", "adamw8bit", "sgd", "lion"}}, kRefuse, "optimizer", {"adamw"}},
    {"train.beta1", [](Config& c) -> Slot { return &c.train.beta1; }, Real{0.0, 1.0, false, true}, kRefuse, "decay of the mean gradient"},
    {"train.beta2", [](Config& c) -> Slot { return &c.train.beta2; }, Real{0.0, 1.0, false, true}, kRefuse, "decay of the mean square"},
    {"train.eps", [](Config& c) -> Slot { return &c.train.eps; }, Real{0.0, 1.0, true}, kRefuse, "added to the root of the mean square"},
    {"train.weight_decay", [](Config& c) -> Slot { return &c.train.weight_decay; }, Real{0.0, 10.0}, kRefuse, "decoupled weight decay"},
    {"train.max_grad_norm", [](Config& c) -> Slot { return &c.train.max_grad_norm; }, Real{0.0, 1e9}, kRefuse, "gradients above this norm are scaled down; 0: never"},
    {"train.recompute", [](Config& c) -> Slot { return &c.train.recompute; }, Words{{"none", "selective", "block"}}, kAllow, "what backward computes again: none, selective (norms and activations), block (all but each block's input)"},
    {"train.early_stopping_patience", [](Config& c) -> Slot { return &c.train.early_stopping_patience; }, Whole{0, 1 << 20}, kAllow, "evaluations without a better best_metric; 0: never stop early"},
    {"train.max_skipped_steps", [](Config& c) -> Slot { return &c.train.max_skipped_steps; }, Whole{0, kManySteps}, kAllow, "non-finite steps that are left out before the job ends"},
    {"train.deterministic", [](Config& c) -> Slot { return &c.train.deterministic; }, Flag{}, kRefuse, "the same bits on every number of ranks", {"true"}},

    {"parallel.tensor", [](Config& c) -> Slot { return &c.parallel.tensor; }, Whole{1, 4096}, kBits, "ranks that share each layer: a number that divides the ranks"},
    {"parallel.sequence_parallel", [](Config& c) -> Slot { return &c.parallel.sequence_parallel; }, Flag{}, kBits, "tensor-parallel ranks keep, norm and add up the hidden states of their own tokens alone (less memory for what is kept of each block)"},
    {"parallel.base_shards", [](Config& c) -> Slot { return &c.parallel.base_shards; }, ShardCount{}, kAllow, "data-parallel ranks that share one copy of the base: \"all\", those of a \"node\", or a number that divides them (1: each keeps it whole)"},
    {"parallel.shard_vocabulary", [](Config& c) -> Slot { return &c.parallel.shard_vocabulary; }, Flag{}, kAllow, "embedding and head are divided over the ranks that share the base; false: each keeps them whole (fewer bytes sent)"},
    {"parallel.base_device", [](Config& c) -> Slot { return &c.parallel.base_device; }, Words{{"auto", "device", "host"}}, kAllow, "auto, device, host: where each rank keeps its part of the base"},
    {"parallel.backend", [](Config& c) -> Slot { return &c.parallel.backend; }, Words{{"auto", "cpu", "cuda"}}, kBits, "auto, cpu, cuda"},
    {"parallel.communicator", [](Config& c) -> Slot { return &c.parallel.communicator; }, Words{{"auto", "mpi", "nccl"}}, kAllow, "auto, mpi, nccl"},
    {"parallel.watchdog_seconds", [](Config& c) -> Slot { return &c.parallel.watchdog_seconds; }, Whole{0, 1 << 24}, kAllow, "a job in which no rank makes progress for this long is ended with exit code 86; 0: never"},
    {"parallel.verify_replicas_every", [](Config& c) -> Slot { return &c.parallel.verify_replicas_every; }, Whole{0, 1 << 24}, kAllow, "steps between comparisons of the ranks' adapters, besides those before a checkpoint; 0: none at all"},

    {"eval.every", [](Config& c) -> Slot { return &c.eval.every; }, Whole{0, kManySteps}, kAllow, "steps between evaluations; 0: after each epoch"},
    {"eval.max_samples", [](Config& c) -> Slot { return &c.eval.max_samples; }, Whole{0, kManySteps}, kAllow, "validation samples at most; 0: all"},
    {"eval.metrics", [](Config& c) -> Slot { return &c.eval.metrics; }, Words{{"loss", "perplexity", "accuracy", "exact_match", "rouge", "bleu"}}, kAllow, "list of loss, perplexity", {"loss", "perplexity"}},
    {"eval.best_metric", [](Config& c) -> Slot { return &c.eval.best_metric; }, Words{{"loss", "perplexity", "accuracy", "exact_match", "rouge", "bleu"}}, kAllow, "the metric that decides which adapter is best", {"loss", "perplexity"}},
    {"eval.generate_samples", [](Config& c) -> Slot { return &c.eval.generate_samples; }, Whole{0, 1 << 16}, kAllow, "validation questions that base and tuned model both answer at the end; one is always shown"},

    {"checkpoint.every", [](Config& c) -> Slot { return &c.checkpoint.every; }, Whole{0, kManySteps}, kAllow, "steps between checkpoints; 0: only at the end"},
    {"checkpoint.keep", [](Config& c) -> Slot { return &c.checkpoint.keep; }, Whole{1, 1 << 20}, kAllow, "how many of the newest stay"},
    {"checkpoint.resume", [](Config& c) -> Slot { return &c.checkpoint.resume; }, Text{}, kAllow, "auto, never, or a checkpoint folder"},
    {"checkpoint.on_signal", [](Config& c) -> Slot { return &c.checkpoint.on_signal; }, Flag{}, kAllow, "SIGUSR1 and SIGTERM save a checkpoint and stop"},
    {"checkpoint.walltime_margin_seconds", [](Config& c) -> Slot { return &c.checkpoint.walltime_margin_seconds; }, Whole{0, 1 << 24}, kAllow, "save and stop this long before SLURM ends the job; 0: never"},

    {"output.dir", [](Config& c) -> Slot { return &c.output.dir; }, Text{}, kAllow, "where everything is written; runs/NAME by default"},
    {"output.log_every", [](Config& c) -> Slot { return &c.output.log_every; }, Whole{1, 1 << 24}, kAllow, "steps between progress lines"},
    {"output.tensorboard", [](Config& c) -> Slot { return &c.output.tensorboard; }, Flag{}, kAllow, "write TensorBoard event files"},
    {"output.adapter_dtype", [](Config& c) -> Slot { return &c.output.adapter_dtype; }, Words{{"fp32", "bf16"}}, kAllow, "of the factors in adapter folders"},
    {"output.show_text", [](Config& c) -> Slot { return &c.output.show_text; }, Flag{}, kAllow, "false: no sample, no generated text, no quotation of the data in what is printed"},
  };
}
// clang-format on

}  // namespace

const std::vector<Key>& config_keys() {
  static const std::vector<Key> keys = make_keys();
  return keys;
}

const Key* find_key(std::string_view name) {
  const auto& keys = config_keys();
  const auto found = std::find_if(keys.begin(), keys.end(), [name](const Key& key) { return key.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

std::string_view section_of(std::string_view name) { return name.substr(0, name.find('.')); }

std::string_view bare_name_of(std::string_view name) {
  const std::size_t dot = name.find('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

std::string_view nearest_key(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Key& key : config_keys()) {
    if (bare_name_of(key.name) == bare_name_of(name)) {
      names.push_back(key.name);
    }
  }
  if (names.empty()) {
    for (const Key& key : config_keys()) {
      names.push_back(key.name);
    }
  }
  return nearest_name(name, names);
}

}  // namespace lora_dist
